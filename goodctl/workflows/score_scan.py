"""Reading a whole file of texts before anything is asked about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from goodctl.corpus.passages import GENERATIONS, PassageFile
from goodctl.errors import InputError, UsageError
from goodctl.progress import Progress, Report
from goodctl.scoring.protocol import Scorer

_REPORT_BYTES = 4 * 2**20
_NAMED_LANGUAGES = 10


@dataclass(frozen=True)
class Scan:
    """What a file holds.

    Attributes:
        name: The file.
        sha256: Of its bytes.
        records: Lines or rows.
        texts: In all of them.
        languages: Language to the number of its texts; None where nobody knows.
    """

    name: str
    sha256: str
    records: int
    texts: int
    languages: Mapping[str | None, int]


def scan(source: PassageFile, report: Report) -> Scan:
    """Read and check everything.

    Raises:
        InputError: Something cannot be read, or there is no text; the message names the place.
        ServiceError: The disk fails.
    """
    languages: Counter[str | None] = Counter()
    records, has_language, reported, total = 0, False, 0, source.file.size_bytes
    report(Progress("reading", 0, total, "bytes"))
    with source.open(hashing=True) as reading:
        for passages in reading.records(check=True):
            records += 1
            if passages.texts:
                languages[passages.language] += len(passages.texts)
            has_language = has_language or passages.has_language
            if reading.bytes_done() - reported >= _REPORT_BYTES:
                reported = reading.bytes_done()
                report(Progress("reading", reported, total, "bytes"))
        sha256 = reading.sha256()
    report(Progress("reading", total, total, "bytes", finished=True))
    texts = languages.total()
    if not texts:
        what = f"every {GENERATIONS!r} is empty" if records else "it has no records"
        raise InputError(f"{source.name}: no text: {what}", hint="Check that this is the right file.")
    if source.language_field is not None and not has_language:
        raise InputError(
            f"{source.name}: no record has the language field {source.language_field!r}",
            hint="Correct --language-field, or say the language of all texts: --language en",
        )
    return Scan(source.name, sha256, records, texts, dict(languages))


def unscored_languages(found: Scan, scorer: Scorer) -> str | None:
    """What to tell a user of texts whose language a scorer does not score; None where there are none.

    Raises:
        UsageError: All texts are such; the message names their languages.
    """
    without = [language for language in found.languages if not scorer.attributes_for(language)]
    name = scorer.identity.scorer
    if not without:
        return None
    if len(without) < len(found.languages):
        texts = sum(found.languages[language] for language in without)
        return f"note: {name} scores {found.texts - texts:,} of {found.texts:,} texts, and none in {_named(without)}"
    if without == [None]:
        raise UsageError(
            f"{name} scores none of these texts, since their language is unknown.",
            hint="Say it: --language en, or --language-field NAME",
        )
    raise UsageError(
        f"{name} scores none of these texts, which are in {_named(without)}.",
        hint="Choose another scorer, or one for each language: --scorer route:FILE",
    )


def _named(languages: Sequence[str | None]) -> str:
    names = sorted(language or "an unknown language" for language in languages)
    more = f" and {len(names) - _NAMED_LANGUAGES} more" if len(names) > _NAMED_LANGUAGES else ""
    return ", ".join(names[:_NAMED_LANGUAGES]) + more


def dropped(found: Scan, scorer: Scorer, attributes: tuple[str, ...]) -> dict[str, list[str]]:
    """Language to the attributes that its texts do not get, of languages that are scored at all."""
    lacking: dict[str, list[str]] = {}
    for language in sorted(found.languages, key=str):
        given = scorer.attributes_for(language)
        missing = [attribute for attribute in attributes if attribute not in given]
        if given and missing:
            lacking[language or "und"] = missing
    return lacking
