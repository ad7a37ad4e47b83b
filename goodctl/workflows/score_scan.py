"""Reading a whole file of texts before anything is asked about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
    with source.open(hashing=True) as reading:
        for passages in reading.records(check=True):
            records += 1
            languages[passages.language] += len(passages.texts)
            has_language = has_language or passages.has_language
            if reading.bytes_done() - reported >= _REPORT_BYTES:
                reported = reading.bytes_done()
                report(Progress("reading", reported, total, "bytes"))
        sha256 = reading.sha256()
    report(Progress("reading", total, total, "bytes", finished=True))
    texts = languages.total()
    if not texts:
        what = (
            f"no text: all {records:,} records have empty {GENERATIONS!r}" if records else "no text: it has no records"
        )
        raise InputError(f"{source.name}: {what}", hint="Check that this is the right file.")
    if source.language_field is not None and not has_language:
        raise InputError(
            f"{source.name}: no record has the language field {source.language_field!r}",
            hint="Correct --language-field, or say the language of all texts: --language en",
        )
    return Scan(source.name, sha256, records, texts, dict(languages))


def refuse_languages(found: Scan, scorer: Scorer) -> None:
    """Refuse texts of which a scorer would not score a single one.

    Raises:
        UsageError: They are such; the message names their languages.
    """
    if any(scorer.attributes_for(language) for language in found.languages):
        return
    name = scorer.identity.scorer
    if set(found.languages) == {None}:
        raise UsageError(
            f"{name} scores none of these texts, since their language is unknown.",
            hint="Say it: --language en, or --language-field NAME",
        )
    known = sorted(language or "unknown" for language in found.languages)
    more = f" and {len(known) - _NAMED_LANGUAGES} more" if len(known) > _NAMED_LANGUAGES else ""
    raise UsageError(
        f"{name} scores none of the languages of these texts: {', '.join(known[:_NAMED_LANGUAGES])}{more}.",
        hint="Choose another scorer, or one for each language: --scorer route:FILE",
    )


def dropped(found: Scan, scorer: Scorer, attributes: tuple[str, ...]) -> dict[str, list[str]]:
    """Language to the attributes that its texts do not get, of languages that are scored at all."""
    lacking: dict[str, list[str]] = {}
    for language in sorted(found.languages, key=str):
        given = scorer.attributes_for(language)
        missing = [attribute for attribute in attributes if attribute not in given]
        if given and missing:
            lacking[language or "und"] = missing
    return lacking
