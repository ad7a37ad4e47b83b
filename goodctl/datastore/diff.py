"""What differs between two versions, of one store or of two; read from their descriptions alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.codes import codec_infos
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import KEYS, OFFSETS, VALUES
from goodctl.datastore.reference import split_reference
from goodctl.datastore.store import Datastore

_SETTINGS = ("model", "key_layer", "key_module", "key_dtype", "dimension", "vocabulary", "window")


@dataclass(frozen=True)
class Counts:
    """Rows and documents before and after.

    Attributes:
        name: What they are of: a language, a label, a source.
        rows_before: Rows in the first version.
        rows: Rows in the second.
        documents_before: Documents in the first version.
        documents: Documents in the second.
    """

    name: str
    rows_before: int
    rows: int
    documents_before: int
    documents: int

    @property
    def differs(self) -> bool:
        """Whether anything has changed."""
        return (self.rows_before, self.documents_before) != (self.rows, self.documents)


@dataclass(frozen=True)
class SegmentChange:
    """A segment that is not the same in both versions.

    Attributes:
        id: Its id.
        language: Of it.
        label: Of it.
        change: ``added``, ``removed``, ``rewritten`` (other rows), ``recoded`` (another codec) or ``moved``.
        rows_before: Rows in the first version.
        rows: Rows in the second.
    """

    id: str
    language: str
    label: str | None
    change: str
    rows_before: int
    rows: int


@dataclass(frozen=True)
class CodecChange:
    """A codec that only one of the versions uses.

    Attributes:
        id: Fingerprint.
        kind: Of it.
        change: ``added`` or ``removed``.
        rows: Rows that it encodes.
    """

    id: str
    kind: str
    change: str
    rows: int


@dataclass(frozen=True)
class Difference:
    """What differs.

    Attributes:
        before: ``STORE@SNAPSHOT`` of the first version.
        after: The same of the second.
        total: Rows and documents.
        languages: Those with other counts.
        labels: Those with other counts; segments without a label count as the empty name.
        sources: Those with other counts, by name and SHA-256.
        segments: Those that are not the same.
        unchanged_segments: Number of segments that are.
        codecs: Those that only one of them uses.
        settings: What holds for the whole store and differs: name to both values.
    """

    before: str
    after: str
    total: Counts
    languages: tuple[Counts, ...]
    labels: tuple[Counts, ...]
    sources: tuple[Counts, ...]
    segments: tuple[SegmentChange, ...]
    unchanged_segments: int
    codecs: tuple[CodecChange, ...]
    settings: dict[str, tuple[Any, Any]]

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        changed = (self.languages, self.labels, self.sources, self.segments, self.codecs)
        return any(changed) or bool(self.settings) or self.total.differs

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        plain: dict[str, Any] = {"differs": self.differs, **asdict(self)}
        for name in ("languages", "labels", "sources", "segments", "codecs"):
            plain[name] = list(plain[name])
        plain["settings"] = {name: list(values) for name, values in self.settings.items()}
        return plain


def diff(before: str, after: str) -> Difference:
    """Compare two versions.

    Args:
        before: ``STORE`` or ``STORE@REF``.
        after: The same; what begins with ``@``, or ``~N``, is a version of the first store.

    Raises:
        NotFoundError: There is no such store or version.
    """
    if after.startswith("@") or re.fullmatch(r"~\d+", after):
        after = f"{split_reference(before)[0]}@{after.removeprefix('@')}"
    return difference(Datastore.open(before), Datastore.open(after))


def difference(before: Datastore, after: Datastore) -> Difference:
    """Compare two open versions."""
    total = Counts("", before.rows, after.rows, before.documents, after.documents)
    segments, unchanged = _segments(before, after)
    return Difference(
        before=f"{before.location}@{before.version.id}",
        after=f"{after.location}@{after.version.id}",
        total=total,
        languages=_counted(before, after, lambda each: [(each.language, each.rows, each.documents)]),
        labels=_counted(before, after, lambda each: [(each.label or "", each.rows, each.documents)]),
        sources=_counted(before, after, _of_sources),
        segments=segments,
        unchanged_segments=unchanged,
        codecs=_codecs(before, after),
        settings={
            name: values
            for name in _SETTINGS
            if (values := (getattr(before.header, name), getattr(after.header, name)))[0] != values[1]
        },
    )


def _of_sources(segment: SegmentInfo) -> list[tuple[str, int, int]]:
    return [(f"{each.name} {each.sha256[:12]}", each.rows, each.documents) for each in segment.sources]


def _counted(
    before: Datastore, after: Datastore, of: Callable[[SegmentInfo], Iterable[tuple[str, int, int]]]
) -> tuple[Counts, ...]:
    found: dict[str, list[int]] = {}
    for place, store in enumerate((before, after)):
        for segment in store.segments:
            for name, rows, documents in of(segment):
                entry = found.setdefault(name, [0, 0, 0, 0])
                entry[place] += rows
                entry[2 + place] += documents
    counted = (Counts(name, *numbers) for name, numbers in found.items())
    return tuple(each for each in counted if each.differs)


def _segments(before: Datastore, after: Datastore) -> tuple[tuple[SegmentChange, ...], int]:
    """The segments that differ, those of the first version first, and how many do not."""
    olds, news = ({each.id: each for each in store.segments} for store in (before, after))
    stays = [id for id in olds if id in news]
    moved = set(stays) - set(_in_order(stays, [id for id in news if id in olds]))
    changes = []
    for id in dict.fromkeys([*olds, *news]):
        old, new = olds.get(id), news.get(id)
        segment = new or old
        assert segment is not None
        change = _change(old, new) or ("moved" if id in moved else None)
        if change:
            rows = old.rows if old else 0, new.rows if new else 0
            changes.append(SegmentChange(id, segment.language, segment.label, change, *rows))
    return tuple(changes), len(dict.fromkeys([*olds, *news])) - len(changes)


def _in_order(before: list[str], after: list[str]) -> list[str]:
    """Segments at the same place among those that both versions have."""
    return [old for old, new in zip(before, after, strict=True) if old == new]


def _change(old: SegmentInfo | None, new: SegmentInfo | None) -> str | None:
    if old is None or new is None:
        return "added" if old is None else "removed"
    if any(old.sha256.get(name) != new.sha256.get(name) for name in (KEYS, VALUES, OFFSETS)):
        return "rewritten"
    codecs = [each.codes.codec if each.codes else None for each in (old, new)]
    return "recoded" if codecs[0] != codecs[1] else None


def _codecs(before: Datastore, after: Datastore) -> tuple[CodecChange, ...]:
    used = []
    for store in (before, after):
        rows: dict[str, int] = {}
        for segment in store.segments:
            if segment.codes:
                rows[segment.codes.codec] = rows.get(segment.codes.codec, 0) + segment.rows
        used.append(rows)
    changes = []
    for store, own, other, change in ((before, used[0], used[1], "removed"), (after, used[1], used[0], "added")):
        infos = codec_infos(store.root, store.location)
        for id, count in own.items():
            if id not in other:
                changes.append(CodecChange(id, infos[id].kind if id in infos else "unknown", change, count))
    return tuple(changes)
