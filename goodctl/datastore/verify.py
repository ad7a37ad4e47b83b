"""Verifying a store: what is damaged, and what remains good; everything that needs no search index."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import zarr

from goodctl.datastore.checks import Problem, SegmentCheck
from goodctl.datastore.codes import CODES
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import Header
from goodctl.datastore.parts import CODECS, SEGMENTS, StoredPart, stored_parts
from goodctl.datastore.reference import Version
from goodctl.datastore.repository import Repository, damaged_metadata
from goodctl.datastore.store import Datastore
from goodctl.errors import GoodctlError
from goodctl.progress import Progress, Report, silent

STAGE = "verifying"

Touched = set[str] | None
"""Paths of the arrays that are to be checked; None for all."""

Further = Callable[["Verification", Datastore, Touched], None]
"""Checks of a version beyond its keys, values and documents."""


def is_touched(group: zarr.Group, touched: Touched) -> bool:
    """Whether a group has an array that is to be checked."""
    return touched is None or any(path.startswith(f"/{group.path}/") for path in touched)


@dataclass
class Verification:
    """A verification under way.

    Attributes:
        repository: Of the store.
        further: More checks of each version.
        report: Gets progress.
        problems: What was found.
        rows: Rows whose arrays were read.
        bytes_read: Of arrays.
        versions: Versions that were looked at.
    """

    repository: Repository
    further: Further
    report: Report = silent
    problems: list[Problem] = field(default_factory=list)
    rows: int = 0
    bytes_read: int = 0
    versions: int = 0

    def found(
        self, kind: str, where: str, what: str, *, segment: str | None = None, snapshot: str | None = None
    ) -> None:
        """Keep a problem, once."""
        if not any((each.where, each.what) == (where, what) for each in self.problems):
            self.problems.append(Problem(kind, where, what, segment, snapshot))

    def small_files(self) -> None:
        """Check the files of the repository that have recorded hashes, and those of branches and tags."""
        for problems in (self.repository.damaged_files(), self.repository.damaged_references()):
            for name, what in problems.items():
                self.found("file", name, what)

    def version(self, store: Datastore) -> None:
        """Check everything in one version."""
        self.versions += 1
        orders = Counter(segment.order for segment in store.segments)
        for order in (order for order, count in orders.items() if count > 1):
            what = f"has several segments at position {order}"
            self.found("description", SEGMENTS, what, snapshot=store.version.id)
        for segment in store.segments:
            self._segment(_group(store.root, segment.id), store.header, segment, store.version.id, None)
        self.further(self, store, None)

    def _segment(
        self, group: zarr.Group, header: Header, info: SegmentInfo | None, snapshot: str, touched: Touched
    ) -> None:
        id = group.path.rpartition("/")[2]
        check, all_parts = SegmentCheck(header, info), True
        try:
            for part in stored_parts(group, self.repository.location):
                if is_touched(part.group, touched):
                    self._part(check, part, id, snapshot)
                else:
                    all_parts = False
        except GoodctlError as error:
            self.found("description", group.path, error.message, segment=id, snapshot=snapshot)
            all_parts = False
        for what in check.whole() if all_parts else ():
            self.found("rows", group.path, what, segment=id, snapshot=snapshot)
        self.bytes_read += check.bytes_read

    def _part(self, check: SegmentCheck, part: StoredPart, id: str, snapshot: str) -> None:
        for where, what in check.part(part):
            self.found("array", where, what, segment=id, snapshot=snapshot)
        self.rows += part.rows
        self.report(Progress(STAGE, self.rows, unit="rows"))

    def history(self, already: str | None) -> None:
        """Check every version that any branch or tag leads to, unfinished writes included.

        A segment is read as a whole in the version that completes it, and after that the parts that are written anew:
        all together, a chunk is read once. Checkpoints on the way to a version are not: it has all of their parts.

        Args:
            already: Snapshot that was checked as a whole.
        """
        seen: set[str] = set()
        for name, start in {**self.repository.branches(), **self.repository.tags()}.items():
            for version, parent in self._pairs(name, start):
                if version.id in seen:
                    break
                seen.add(version.id)
                if version.id != already and not version.is_root and (version.id == start or not version.is_checkpoint):
                    self._past(version, parent)

    def _pairs(self, name: str, start: str) -> Iterator[tuple[Version, Version | None]]:
        """Versions with the one that each stands on; one that cannot be read is a problem, and the last."""
        later: Version | None = None
        try:
            for version in self.repository.ancestry(start):
                if later is not None:
                    yield later, version
                later = version
        except GoodctlError as error:
            what = f"leads to a version that cannot be read: {error.message}"
            self.found("version", name, what, snapshot=later.parent if later else start)
        if later is not None:
            yield later, None

    def _past(self, version: Version, parent: Version | None) -> None:
        """Check what a version has beyond the one it stands on; its other descriptions were read there."""
        try:
            with damaged_metadata(self.repository.location):
                self.versions += 1
                touched, described = self._new(version, parent)
                root = self.repository.read(version.id)
                before = self.repository.read(parent.id) if described is not None and parent is not None else None
                header = Header.from_dict(dict(root.attrs), self.repository.location)
                for id in sorted(_segment_ids(root, described)):
                    self._past_segment(root, before, header, id, version.id, touched)
                if touched is None or any(f"/{CODES}/" in path or f"/{CODECS}/" in path for path in touched):
                    self._codes(version, touched)
        except GoodctlError as error:
            self.found("version", version.id, error.message, snapshot=version.id)

    def _past_segment(
        self, root: zarr.Group, before: zarr.Group | None, header: Header, id: str, snapshot: str, touched: Touched
    ) -> None:
        group = _group(root, id)
        attributes, info = dict(group.attrs), None
        if "order" in attributes:  # else it is being written
            info = SegmentInfo.from_dict(id, attributes, self.repository.location)
        was = before.get(f"{SEGMENTS}/{id}") if before is not None else None
        was_complete = was is not None and "order" in was.attrs
        arrays = _without_codes(touched) if was_complete else None
        if is_touched(group, arrays):
            self._segment(group, header, info, snapshot, arrays)

    def _codes(self, version: Version, touched: Touched) -> None:
        if not version.is_checkpoint:
            self.further(self, Datastore.from_repository(self.repository, version.id), touched)

    def _new(self, version: Version, parent: Version | None) -> tuple[Touched, set[str] | None]:
        """Arrays and groups that a version has beyond the one it stands on; None where that cannot be told: all."""
        if parent is None or parent.is_root:
            return None, None
        try:
            arrays = self.repository.new_arrays(parent.id, version.id)
            return arrays, arrays | self.repository.new_groups(parent.id, version.id)
        except GoodctlError:
            return None, None


def _group(root: zarr.Group, id: str) -> zarr.Group:
    group = root[f"{SEGMENTS}/{id}"]
    assert isinstance(group, zarr.Group)
    return group


def _segment_ids(root: zarr.Group, described: set[str] | None) -> set[str]:
    """Segments that a version has beyond another one, or describes anew; None stands for all."""
    segments = root.get(SEGMENTS)
    there = set(segments.group_keys()) if isinstance(segments, zarr.Group) else set()
    if described is None:
        return there
    return there & {path.split("/")[2] for path in described if path.startswith(f"/{SEGMENTS}/")}


def _without_codes(touched: Touched) -> Touched:
    return None if touched is None else {path for path in touched if f"/{CODES}/" not in path}


def openable(repository: Repository) -> Iterator[Datastore]:
    """The versions of ``main`` that can be opened, newest first, as far as its history can be read."""
    with contextlib.suppress(GoodctlError):
        for version in repository.history(repository.tip()):
            if not version.is_checkpoint and not version.is_root:
                with contextlib.suppress(GoodctlError):
                    yield Datastore.from_repository(repository, version.id, check=True)
