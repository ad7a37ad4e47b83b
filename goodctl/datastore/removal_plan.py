"""Which documents a removal means, and what that does to segments and parts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from goodctl.datastore.format import DOCUMENT_LINES, DOCUMENT_SOURCES, OFFSETS, SegmentInfo
from goodctl.datastore.store import Datastore
from goodctl.datastore.takes import Mask, Take
from goodctl.errors import NotFoundError, UsageError
from goodctl.progress import Progress, Report

_LEAST_HASH = 8


@dataclass(frozen=True)
class Removal:
    """Which documents are removed: those that every condition which is given holds for.

    Attributes:
        languages: Of any of these languages.
        labels: With any of these labels.
        sources: From any of these sources: a name as ``inspect`` shows it, or at least 8 digits of its SHA-256.
        documents: Any of these: ``SOURCE:LINE``, as ``neighbors`` shows them.
    """

    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    def check(self, store: Datastore) -> None:
        """Check that everything named is in a store.

        Raises:
            UsageError: Nothing is named, or a document is not of the form ``SOURCE:LINE``.
            NotFoundError: A language, label or source is not in the store.
        """
        if not any((self.languages, self.labels, self.sources, self.documents)):
            raise UsageError(
                "Nothing says what to remove.", hint="Name it: --language, --source, --label or --document."
            )
        known = {name for segment in store.segments for source in segment.sources for name in (source.name,)}
        hashes = {source.sha256 for segment in store.segments for source in segment.sources}
        _check_known(store, "language", self.languages, {segment.language for segment in store.segments})
        _check_known(store, "label", self.labels, {segment.label for segment in store.segments if segment.label})
        for name in (*self.sources, *(place(document)[0] for document in self.documents)):
            if not any(_is_hash_of(name, each) for each in hashes):
                _check_known(store, "source", [name], known)


def place(document: str) -> tuple[str, int]:
    """Source and line of ``SOURCE:LINE``.

    Raises:
        UsageError: It is of another form.
    """
    source, _, line = document.rpartition(":")
    if not source or not line.isdecimal():
        raise UsageError(
            f"--document {document}: that names no document.",
            hint="Write SOURCE:LINE, such as texts.jsonl:17, as goodctl datastore neighbors shows it.",
        )
    return source, int(line)


def _is_hash_of(text: str, sha256: str) -> bool:
    return len(text) >= _LEAST_HASH and sha256.startswith(text.lower())


def _check_known(store: Datastore, what: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3) or sorted(known)[:5]
            raise NotFoundError(
                f"{store.location} has no {what} {name}: " + (f"it has {', '.join(near)}." if near else "it has none."),
                hint=f"See what there is: goodctl datastore inspect {store.location}",
            )


@dataclass
class Plan:
    """What happens to segments.

    Attributes:
        whole: Those that go.
        partial: Those that lose documents, and of which parts which: part number to (m,) bool.
    """

    whole: list[SegmentInfo] = field(default_factory=list)
    partial: list[tuple[SegmentInfo, dict[int, Mask]]] = field(default_factory=list)


def planned(current: Datastore, removal: Removal, report: Report) -> Plan:
    """Find the documents.

    Args:
        current: The version that is changed.
        removal: What is to go; was checked against it.
        report: Gets progress.

    Raises:
        NotFoundError: No document fulfils all conditions, or one that was named is not there.
    """
    plan, found = Plan(), set[tuple[str, int]]()
    wanted = [place(document) for document in removal.documents]
    for segment in current.segments:
        if (removal.languages and segment.language not in removal.languages) or (
            removal.labels and segment.label not in removal.labels
        ):
            continue
        indices = {source.index for source in segment.sources if not removal.sources or _named(source, removal.sources)}
        if not wanted and len(indices) == len(segment.sources):
            plan.whole.append(segment)
            continue
        lines = {
            (source.index, line): (name, line)
            for name, line in wanted
            for source in segment.sources
            if source.index in indices and _named(source, [name])
        }
        if not (lines if wanted else indices):
            continue
        report(Progress("looking for documents", unit="segments"))
        masks, here = _masks(current, segment, indices, lines if wanted else None)
        found |= here
        if sum(int(mask.sum()) for mask in masks.values()) == segment.documents:
            plan.whole.append(segment)
        elif masks:
            plan.partial.append((segment, masks))
    report(Progress("looking for documents", finished=True))
    if missing := [each for each in wanted if each not in found]:
        raise NotFoundError(
            f"{current.location} has no document {missing[0][0]}:{missing[0][1]} that meets every condition.",
            hint="Lines are counted from 1; a line without a row, such as an empty one, is no document.",
        )
    if not plan.whole and not plan.partial:
        raise NotFoundError(
            f"{current.location} has no document that meets every condition.",
            hint=f"See what there is: goodctl datastore inspect {current.location}",
        )
    return plan


def _named(source: Any, names: Sequence[str]) -> bool:
    return any(source.name == name or _is_hash_of(name, source.sha256) for name in names)


def _masks(
    current: Datastore,
    segment: SegmentInfo,
    indices: set[int],
    lines: Mapping[tuple[int, int], tuple[str, int]] | None,
) -> tuple[dict[int, Mask], set[tuple[str, int]]]:
    """Part number to (m,) bool: which of its documents go; parts that lose none are left out. And which were named."""
    masks, found = {}, set()
    for number, part in enumerate(current.parts(segment)):
        sources = part.read(DOCUMENT_SOURCES)
        mask = np.isin(sources, list(indices))
        if lines is not None:
            here = list(zip(sources.tolist(), part.read(DOCUMENT_LINES).tolist(), strict=True))
            mask &= np.fromiter((each in lines for each in here), bool, len(sources))
            found |= {lines[each] for each in here if each in lines}
        if mask.any():
            masks[number] = mask
    return masks, found


def lost_counts(current: Datastore, segment: SegmentInfo, masks: dict[int, Mask]) -> tuple[int, int]:
    """Rows and documents that a segment loses."""
    rows = documents = 0
    for number, part in enumerate(current.parts(segment)):
        if number in masks:
            rows += int(Take(part, masks[number]).row_mask(part.read(OFFSETS)).sum())
            documents += int(masks[number].sum())
    return rows, documents
