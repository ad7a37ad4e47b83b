"""From a record to a document: which field is the text, which is its language."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from goodctl.corpus.document import Document
from goodctl.corpus.record import Record, position
from goodctl.errors import InputError

_ABSENT = object()
_LISTED_FIELDS = 20
_LISTED_LEVELS = 4


@dataclass(frozen=True)
class Fields:
    """Where in a record the parts of a document are.

    A field is looked up by its whole name first; if there is none, ``a.b`` is field ``b`` of the object in field
    ``a``.

    Attributes:
        text: The field of the text.
        default_language: The language of documents that have none of their own.
        language: The field of the language, if any.
    """

    text: str
    default_language: str = "und"
    language: str | None = None

    def document(self, source: str, record: Record) -> Document:
        """The document in a record.

        Raises:
            InputError: The record is neither object nor string, has no text field, or text or language is no string.
        """
        value = record.value
        if isinstance(value, str):
            _check_encodable(value, "the text", source, record)
            text, language = value, self.default_language
        elif isinstance(value, dict):
            text, language = self._text(source, record, value), self.language_in(source, record, value)
        else:
            raise InputError(
                f"{position(source, record)}: the record is {_kind(value)}, not an object or a string",
                hint="Each record must be an object with a text field, or the text itself.",
            )
        return Document(text, language, source, record.number)

    def has_language(self, record: Record) -> bool:
        """Whether the record has the language field, be it empty."""
        return (
            self.language is not None
            and isinstance(record.value, dict)
            and _look_up(record.value, self.language) is not _ABSENT
        )

    def language_in(self, source: str, record: Record, value: Mapping[str, object]) -> str:
        """The language that a record says, else the default.

        Raises:
            InputError: It is no string.
        """
        language = _look_up(value, self.language) if self.language is not None else None
        if language is None or language is _ABSENT:
            return self.default_language
        if not isinstance(language, str):
            raise InputError(
                f"{position(source, record)}: language field {self.language!r} is {_kind(language)}, not a string",
                hint="Pass --language-field NAME with a field of language codes, or leave the option out.",
            )
        _check_encodable(language, f"language field {self.language!r}", source, record)
        return language.strip() or self.default_language

    def needed_columns(self, columns: Iterable[str]) -> list[str]:
        """Those of a table's columns from which the text and the language are taken."""
        names = list(columns)
        needed = []
        for field in (self.text, self.language):
            if field is None:
                continue
            column = field if field in names else field.split(".", 1)[0]
            if column in names and column not in needed:
                needed.append(column)
        return needed

    def check_columns(self, place: str, columns: Mapping[str, bool]) -> None:
        """Makes sure that a table has the text.

        Args:
            place: The file, perhaps with a line, for the message.
            columns: Every column (with dots: inside an object), and whether it has strings.

        Raises:
            InputError: It does not.
        """
        if self.text not in columns:
            raise self._missing(place, columns)

    def _text(self, source: str, record: Record, value: Mapping[str, object]) -> str:
        text = _look_up(value, self.text)
        if text is None:
            return ""
        if text is _ABSENT:
            raise self._missing(position(source, record), _paths(value))
        if not isinstance(text, str):
            raise InputError(
                f"{position(source, record)}: field {self.text!r} is {_kind(text)}, not a string",
                hint=_hint(self.text, {path: is_text for path, is_text in _paths(value).items() if is_text}),
            )
        _check_encodable(text, f"field {self.text!r}", source, record)
        return text

    def _missing(self, place: str, columns: Mapping[str, bool]) -> InputError:
        listed = ", ".join(list(columns)[:_LISTED_FIELDS]) or "none"
        more = f" and {len(columns) - _LISTED_FIELDS} more" if len(columns) > _LISTED_FIELDS else ""
        return InputError(f"{place}: no field {self.text!r}; fields: {listed}{more}", hint=_hint(self.text, columns))


def _look_up(value: Mapping[str, object], field: str) -> object:
    if field in value:
        return value[field]
    found: object = value
    for part in field.split("."):
        if found is None:  # an object that may be null: so is what it would have
            return None
        if not isinstance(found, dict) or part not in found:
            return _ABSENT
        found = found[part]
    return found


def _paths(value: Mapping[str, object], levels: int = _LISTED_LEVELS) -> dict[str, bool]:
    """Every field, with those inside objects as dotted paths, and whether it is a string."""
    paths: dict[str, bool] = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and inner and levels > 1:
            paths |= {f"{name}.{path}": is_text for path, is_text in _paths(inner, levels - 1).items()}
        else:
            paths[name] = isinstance(inner, str)
    return paths


def _hint(wanted: str, columns: Mapping[str, bool]) -> str:
    strings = [path for path, is_text in columns.items() if is_text]
    near = difflib.get_close_matches(wanted, columns, n=3)
    if len(strings) == 1:
        return f"Perhaps --text-field {strings[0]}"
    if near:
        return f"Perhaps --text-field {' or '.join(near)}"
    return "Pass --text-field NAME with the field that has the text; a.b reaches into objects."


def _check_encodable(text: str, what: str, source: str, record: Record) -> None:
    if text.isascii():  # known without looking, and by far the most frequent case
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{position(source, record)}: {what} has the lone surrogate U+{ord(text[error.start]):04X} "
            f"at character {error.start + 1}, which is no text",
            hint="Write the text again with its characters complete; half of an escaped pair is missing.",
        ) from error


def _kind(value: object) -> str:
    """The name of a value's type, as JSON calls it, with an article."""
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "a boolean"),
        (int, "a number"),
        (float, "a number"),
        (str, "a string"),
        (list, "an array"),
        (dict, "an object"),
        (bytes, "binary"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null" if value is None else "no JSON value")
