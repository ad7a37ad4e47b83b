"""Which documents a removal means, and what that does to segments and parts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import DOCUMENT_LINES, DOCUMENT_SOURCES, OFFSETS
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
        sources: From any of these sources; see ``sources_meant``.
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
            NotFoundError: A language or label is not in the store.
        """
        if not any((self.languages, self.labels, self.sources, self.documents)):
            raise UsageError(
                "Nothing says what to remove.", hint="Name it: --language, --source, --label or --document."
            )
        _check_known(store, "language", self.languages, {segment.language for segment in store.segments})
        _check_known(store, "label", self.labels, {segment.label for segment in store.segments if segment.label})


def place(document: str) -> tuple[str, int]:
    """Source and line of ``SOURCE:LINE``.

    Raises:
        UsageError: It is of another form.
    """
    source, _, line = document.rpartition(":")
    if not source or not re.fullmatch(r"[0-9]{1,18}", line):
        raise UsageError(
            f"--document {document}: that names no document.",
            hint="Write SOURCE:LINE, such as texts.jsonl:17, as goodctl datastore neighbors shows it.",
        )
    return source, int(line)


def sources_meant(store: Datastore, name: str) -> set[tuple[str, str]]:
    """Names and hashes of the sources that a user means.

    Args:
        store: Open version.
        name: A source's name, its end from a slash on, or at least 8 digits of its hash.

    Raises:
        NotFoundError: There is no such source.
        UsageError: It may mean several.
    """
    known = {(source.name, source.sha256) for segment in store.segments for source in segment.sources}
    exact = {each for each in known if each[0] == name}
    hashed = {each for each in known if len(name) >= _LEAST_HASH and each[1].startswith(name.lower())}
    ending = {each for each in known if each[0].replace("\\", "/").endswith(f"/{name}")}
    if exact or hashed:
        return exact or hashed
    if len({full for full, _ in ending}) > 1:
        raise UsageError(
            f"{store.location} has several sources {name}: {', '.join(sorted(full for full, _ in ending)[:5])}.",
            hint="Name one of them in full.",
        )
    if not ending:
        _check_known(store, "source", [name], {full for full, _ in known})
    return ending


def _source_meant(store: Datastore, name: str) -> tuple[str, str]:
    """The one source that a document's name means.

    Raises:
        UsageError: Files of that name were added with different contents: a line of it may be several documents.
    """
    meant = sorted(sources_meant(store, name))
    if len(meant) > 1:
        raise UsageError(
            f"{store.location} has {len(meant)} sources {name}, with different contents.",
            hint=f"Name the source by its SHA-256: {' or '.join(f'{sha256[:12]}:LINE' for _, sha256 in meant)}",
        )
    return meant[0]


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
    plan, found = Plan(), set[str]()
    sources = set[tuple[str, str]]().union(*(sources_meant(current, name) for name in removal.sources))
    wanted = {
        (*source, line): document
        for document in removal.documents
        for name, line in [place(document)]
        for source in [_source_meant(current, name)]
    }
    for segment in current.segments:
        if (removal.languages and segment.language not in removal.languages) or (
            removal.labels and segment.label not in removal.labels
        ):
            continue
        here = {each.index: (each.name, each.sha256) for each in segment.sources}
        indices = {index for index, source in here.items() if not removal.sources or source in sources}
        if not removal.documents and len(indices) == len(here) and (here or not removal.sources):
            plan.whole.append(segment)
            continue
        lines = {
            (index, line): document
            for (name, sha256, line), document in wanted.items()
            for index in indices
            if here[index] == (name, sha256)
        }
        if not (lines if removal.documents else indices):
            continue
        report(Progress("looking for documents", unit="segments"))
        masks, named = _masks(current, segment, indices, lines if removal.documents else None)
        found |= named
        if sum(int(mask.sum()) for mask in masks.values()) == segment.documents:
            plan.whole.append(segment)
        elif masks:
            plan.partial.append((segment, masks))
    report(Progress("looking for documents", finished=True))
    if missing := [document for document in removal.documents if document not in found]:
        raise NotFoundError(
            f"{current.location} has no document {missing[0]} that meets every condition.",
            hint="Lines are counted from 1; a line without a row, such as an empty one, is no document.",
        )
    if not plan.whole and not plan.partial:
        raise NotFoundError(
            f"{current.location} has no document that meets every condition.",
            hint=f"See what there is: goodctl datastore inspect {current.location}",
        )
    return plan


def _masks(
    current: Datastore,
    segment: SegmentInfo,
    indices: set[int],
    lines: Mapping[tuple[int, int], str] | None,
) -> tuple[dict[int, Mask], set[str]]:
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
