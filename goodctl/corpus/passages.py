"""Files whose texts get something beside them: where in each record the texts stand, and how a record is put back.

A record of a generations file has its texts in ``generations``; any other has one, in ``prompt``, else in ``text``, or
in the field that the user names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goodctl.corpus.fields import Fields
from goodctl.corpus.inputs import CorpusFile
from goodctl.corpus.reading import Reading
from goodctl.corpus.record import Record, position
from goodctl.corpus.whole_records import WholeFields, check_json, one_file, open_whole, whole_records
from goodctl.errors import InputError, UsageError

GENERATIONS = "generations"
_SEARCHED = (GENERATIONS, "prompt", "text")
_LANGUAGES = ("language", "lang")
_UNKNOWN = "und"
_TEXT = "text"


@dataclass(frozen=True)
class Passages:
    """A record and the texts in it.

    Attributes:
        place: Where it is, for messages (``FILE:LINE``).
        columns: The record; a record that is a string is its column ``text``.
        language: Of all its texts, or None where nobody knows.
        texts: In their order; one, or as many as there are generations.
        path: The members that lead to the text; of generations, to their list.
        has_language: Whether the record has the field of the language.
    """

    place: str
    columns: Mapping[str, Any]
    language: str | None
    texts: tuple[str, ...]
    path: tuple[str, ...]
    has_language: bool

    def members(self) -> tuple[Mapping[str, Any] | None, ...]:
        """What stands beside each text, and the text itself; None where a text is a plain string."""
        if self.path == (GENERATIONS,) and isinstance(self.columns[GENERATIONS], list):
            found = self.columns[GENERATIONS]
        else:
            found = [_inside(self.columns, self._place)]
        return tuple(each if isinstance(each, dict) else None for each in found)

    @property
    def _place(self) -> tuple[str, ...]:
        """Where the object of the text is, or will be: a text inside an object keeps its place there."""
        return self.path[:-1] if len(self.path) > 1 and self.path[-1] == _TEXT else self.path

    def with_members(self, members: Sequence[Mapping[str, Any]], stale: Sequence[str] = ()) -> dict[str, Any]:
        """The record with each text as an object: ``text``, the new members, and those that were there already.

        Args:
            members: Of each text.
            stale: Members that are taken out where they were there already.
        """
        if self.path == (GENERATIONS,) and isinstance(self.columns[GENERATIONS], list):
            olds = [old if isinstance(old, dict) else {} for old in self.columns[GENERATIONS]]
            each = zip(self.texts, members, olds, strict=True)
            return {**self.columns, GENERATIONS: [_member(text, new, old, stale) for text, new, old in each]}
        (text,), (new,), (old,) = self.texts, members, self.members()
        return _replaced(self.columns, self._place, _member(text, new, old or {}, stale))


def _member(text: str, new: Mapping[str, Any], old: Mapping[str, Any], stale: Sequence[str]) -> dict[str, Any]:
    kept = {name: value for name, value in old.items() if name not in stale and name not in new and name != _TEXT}
    return {_TEXT: text, **new, **kept}


def _inside(columns: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = columns
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None  # an object may be null
    return found


def _replaced(columns: Mapping[str, Any] | None, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    name, *rest = path
    before = columns or {}
    return {**before, name: _replaced(before.get(name), tuple(rest), value) if rest else value}


@dataclass(frozen=True)
class PassageFile:
    """A file of texts, read as often as is asked for; only a record at a time is in memory.

    Attributes:
        file: The file.
        text_field: The field of the text (``a.b`` reaches into objects), or None for the usual ones.
        language: Of all texts; beside a language field, of those whose record says none.
        language_field: The field of the language; None takes ``language``, else ``lang``, unless ``language`` is given.
    """

    file: CorpusFile
    text_field: str | None = None
    language: str | None = None
    language_field: str | None = None

    @classmethod
    def find(
        cls, path: str, text_field: str | None = None, language: str | None = None, language_field: str | None = None
    ) -> PassageFile:
        """The file of a path.

        Raises:
            UsageError: The path names no single file, its suffix is none that is read, or an option has no meaning.
            NotFoundError: There is no such file.
            InputError: It cannot be read.
        """
        for option, value in (("text-field", text_field), ("language", language), ("language-field", language_field)):
            if value is not None and not value.strip():
                raise UsageError(f"--{option} is empty.", hint="Give it a value, or leave it out.")
        return cls(one_file(path, of="texts"), text_field, language, language_field)

    @property
    def name(self) -> str:
        """The path as given, with forward slashes."""
        return self.file.name

    def open(self, *, hashing: bool = False) -> PassageReading:
        """Begin a pass. It is a context manager.

        Raises:
            NotFoundError: The file is gone.
            InputError: It cannot be opened.
            MissingDependency: Parquet needs a package that is not installed.
        """
        return PassageReading(self, hashing=hashing)


class PassageReading:
    """One pass over a file of texts.

    Args:
        source: The file.
        hashing: Whether ``sha256`` will be asked for.
    """

    def __init__(self, source: PassageFile, *, hashing: bool) -> None:
        self._source = source
        self._fields = WholeFields(source.text_field, _SEARCHED)
        self._reading: Reading = open_whole(source.file, self._fields, hashing=hashing)
        self._in_generations: bool | None = None

    def __enter__(self) -> PassageReading:
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.close()

    def records(self, *, check: bool) -> Iterator[Passages]:
        """Every record, in order.

        Args:
            check: Whether to make sure that all columns can be written as JSON; for the first pass.

        Raises:
            InputError: A record has no text, or something in it cannot be read or written; the message has its place.
        """
        for record in whole_records(self._source.file, self._reading):
            yield self._passages(record, check)

    def bytes_done(self) -> int:
        """Bytes read from disk so far."""
        return self._reading.bytes_done()

    def sha256(self) -> str:
        """Hash of all bytes on disk."""
        return self._reading.sha256()

    def _passages(self, record: Record, check: bool) -> Passages:
        name, source = self._source.name, self._source
        place, value = position(name, record), record.value
        if not isinstance(value, dict):
            self._all_alike(False, place)
            document = Fields(_TEXT, source.language or _UNKNOWN).document(name, record)  # refuses what is no string
            return Passages(place, {_TEXT: value}, _known(document.language), (document.text,), (_TEXT,), False)
        if check:
            check_json(value, place, allow_nan=False)
        field = self._fields.of(value).text
        path = (field,) if field in value else tuple(field.split("."))
        language = source.language_field
        if language is None and source.language is None:
            language = next((each for each in _LANGUAGES if each in value), None)
        fields = Fields(field, source.language or _UNKNOWN, language)
        generations = GENERATIONS in value and source.text_field in {None, GENERATIONS}
        self._all_alike(generations, place)
        if generations:
            texts, tag = _generations(value[GENERATIONS], place), fields.language_in(name, record, value)
        else:
            document = fields.document(name, record)
            texts, tag = (document.text,), document.language
        return Passages(place, value, _known(tag), texts, path, fields.has_language(record))

    def _all_alike(self, generations: bool, place: str) -> None:
        if self._in_generations is None:
            self._in_generations = generations
        if generations != self._in_generations:
            here, there = ("", "no ") if generations else ("no ", "")
            raise InputError(
                f"{place}: {here}field {GENERATIONS!r}, and the records before have {there}such field",
                hint="Correct the file, or name the field of the text: --text-field NAME",
            )


def _known(language: str) -> str | None:
    return None if language.lower() == _UNKNOWN else language


def _generations(found: object, place: str) -> tuple[str, ...]:
    if not isinstance(found, list):
        raise InputError(
            f"{place}: field {GENERATIONS!r} is no array of texts",
            hint="Name the field of the text: --text-field NAME",
        )
    texts = []
    for number, each in enumerate(found, start=1):
        text = each.get(_TEXT) if isinstance(each, dict) else each
        if not isinstance(text, str):
            raise InputError(
                f"{place}: generation {number} is no text, nor an object with a string {_TEXT!r}",
                hint='Correct this line. An empty generation is the string "".',
            )
        texts.append(text)
    return tuple(texts)
