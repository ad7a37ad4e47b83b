"""Verifying a store: what is damaged, and what remains good; everything that needs no search index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import zarr

from goodctl.datastore.checks import Problem, SegmentCheck
from goodctl.datastore.codes import CODES
from goodctl.datastore.format import Header, SegmentInfo
from goodctl.datastore.parts import SEGMENTS, StoredPart, stored_parts
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

    def version(self, store: Datastore, touched: Touched = None) -> None:
        """Check one version, or those of its arrays that are ``touched``."""
        self.versions += 1
        orders = Counter(segment.order for segment in store.segments)
        for order in (order for order, count in orders.items() if count > 1):
            what = f"has several segments at position {order}"
            self.found("description", SEGMENTS, what, snapshot=store.version.id)
        for segment in store.segments:
            group = store.root[f"{SEGMENTS}/{segment.id}"]
            assert isinstance(group, zarr.Group)
            if is_touched(group, _without_codes(touched)):
                self._segment(group, store.header, segment, store.version.id, _without_codes(touched))
        self.further(self, store, touched)

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

        Of each version only the arrays that it has beyond the one it stands on: all together, no chunk is read twice.

        Args:
            already: Snapshot that was checked as a whole.
        """
        seen: set[str] = set()
        for name, start in {**self.repository.branches(), **self.repository.tags()}.items():
            for version, parent in self._pairs(name, start):
                if version.id in seen:
                    break
                seen.add(version.id)
                if version.id != already and not version.is_root:
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
        try:
            with damaged_metadata(self.repository.location):
                touched = self._new_arrays(version, parent)
                if version.is_checkpoint:
                    self._unfinished(version, touched)
                else:
                    self.version(Datastore.from_repository(self.repository, version.id), touched)
        except GoodctlError as error:
            self.found("version", version.id, error.message, snapshot=version.id)

    def _new_arrays(self, version: Version, parent: Version | None) -> Touched:
        """What a version has beyond the one it stands on; all where that cannot be told."""
        if parent is None or parent.is_root:
            return None
        try:
            return self.repository.new_arrays(parent.id, version.id)
        except GoodctlError:
            return None

    def _unfinished(self, version: Version, touched: Touched) -> None:
        """The parts that a write had at a checkpoint."""
        self.versions += 1
        root = self.repository.read(version.id)
        header = Header.from_dict(dict(root.attrs), self.repository.location)
        segments = root.get(SEGMENTS)
        for _, group in segments.groups() if isinstance(segments, zarr.Group) else ():
            if is_touched(group, touched):
                self._segment(group, header, None, version.id, touched)


def _without_codes(touched: Touched) -> Touched:
    return None if touched is None else {path for path in touched if f"/{CODES}/" not in path}


def openable(repository: Repository) -> list[Version]:
    """The versions of ``main`` that can be opened, newest first, as far as its history can be read."""
    good = []
    try:
        for version in repository.history(repository.tip()):
            if not version.is_checkpoint and not version.is_root and _opens(repository, version):
                good.append(version)
    except GoodctlError:
        return good
    return good


def _opens(repository: Repository, version: Version) -> bool:
    try:
        Datastore.from_repository(repository, version.id, check=True)
    except GoodctlError:
        return False
    return True
