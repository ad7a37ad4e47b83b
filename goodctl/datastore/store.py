"""Reading one version of a datastore."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import KEYS, OFFSETS, VALUES, Header
from goodctl.datastore.parts import SEGMENTS, StoredPart, stored_parts
from goodctl.datastore.reference import MAIN, Version, resolve, split_reference
from goodctl.datastore.repository import Repository, damaged_metadata, translated_errors
from goodctl.errors import DamagedError, NotFoundError, UsageError


@dataclass(frozen=True)
class Datastore:
    """One version of a datastore, open for reading. Use ``Datastore.open``.

    Row numbers run through the segments in their order, and through each segment's parts.

    Attributes:
        location: The store as it was named, without reference.
        version: The snapshot that is read.
        header: What holds for the whole store.
        segments: Its segments, in order.
        repository: What it is read from.
        root: Root group of the version.
        checked: Whether everything that is read is compared with its recorded hash first.
    """

    location: str
    version: Version
    header: Header
    segments: tuple[SegmentInfo, ...]
    repository: Repository
    root: zarr.Group
    checked: bool = False

    @classmethod
    def open(cls, reference: str, *, check: bool = False) -> Datastore:
        """Open ``STORE`` or ``STORE@REF`` for reading.

        Args:
            reference: A path, optionally with ``@`` and a branch, tag, snapshot id prefix, ``~N`` or ``{DATE}``.
            check: Compare everything that is read with its recorded hash: a changed byte is an error, never other rows.

        Raises:
            NotFoundError: No store, or no such version; also a store whose first build has not finished.
            UsageError: The version is a checkpoint.
            IncompatibleError: Another format, or a newer one.
            DamagedError: Its description cannot be read, or is not what was written.
        """
        location, name = split_reference(reference)
        return cls.from_repository(Repository.open(location), name, check=check)

    @classmethod
    def from_repository(
        cls, repository: Repository, reference: str | None = None, *, branch: str = MAIN, check: bool = False
    ) -> Datastore:
        """Open a version of a repository that is open already; ``~N`` and ``{DATE}`` count from ``branch``."""
        location, branches = repository.location, repository.branches()
        if reference is not None and reference.startswith(("~", "{")):
            branches = {**branches, MAIN: branches[branch]}
        snapshot = resolve(
            reference,
            where=location,
            branches=branches,
            tags=repository.tags(),
            ancestry=repository.history,
            has=repository.has,
        )
        if check and (problems := repository.damaged_files(snapshot)):
            name, problem = next(iter(problems.items()))
            raise DamagedError(
                f"{location}: {name} {problem}.", hint=f"See what else is damaged: goodctl datastore verify {location}"
            )
        version = next(iter(repository.ancestry(snapshot)))
        if version.is_root:
            raise unfinished(repository)
        if version.is_checkpoint:
            raise UsageError(
                f"{location}@{reference} is a checkpoint of a command, not a finished version.",
                hint=f"List the versions: goodctl datastore log {location}",
            )
        with translated_errors(location, "read"):
            root = repository.read(snapshot)
            header = Header.from_dict(dict(root.attrs), location)
            with damaged_metadata(location):
                groups = {path.rpartition("/")[2]: group for path, group in _segment_groups(root).items()}
            infos = [SegmentInfo.from_dict(name, dict(group.attrs), location) for name, group in groups.items()]
        ordered = tuple(sorted(infos, key=lambda info: info.order))
        return cls(location, version, header, ordered, repository, root, check)

    @property
    def rows(self) -> int:
        """Rows of all segments."""
        return sum(segment.rows for segment in self.segments)

    @property
    def documents(self) -> int:
        """Documents of all segments."""
        return sum(segment.documents for segment in self.segments)

    def parts(self, segment: SegmentInfo) -> Iterator[StoredPart]:
        """The parts of one segment, in row order."""
        group = self.root[f"{SEGMENTS}/{segment.id}"]
        assert isinstance(group, zarr.Group)
        return stored_parts(group, self.location, checked=self.checked)

    def read(self, segment: SegmentInfo, name: str) -> npt.NDArray[Any]:
        """One array of a segment as a whole.

        Args:
            segment: One of ``segments``.
            name: ``keys`` gives (n, D) float16 or float32, ``values`` (n,) int32 token ids, ``offsets`` (m+1,) int64
                row at which each document begins, ``document_sources`` (m,) int32, ``document_lines`` (m,) int64.
        """
        arrays = [part.read(name) for part in self.parts(segment)]
        if name == OFFSETS:
            starts = np.cumsum([0, *(array[-1] for array in arrays)])
            ends = [array[1:] + start for array, start in zip(arrays, starts, strict=False)]
            return np.concatenate([np.zeros(1, np.int64), *ends])
        if not arrays:
            return (
                np.zeros((0, self.header.dimension), self.header.key_dtype) if name == KEYS else np.zeros(0, np.int64)
            )
        return np.concatenate(arrays)

    def value_counts(self) -> npt.NDArray[np.int64]:
        """How often each token id is the next token: (vocabulary,) int64. Reads the values part by part."""
        counts = np.zeros(self.header.vocabulary, np.int64)
        for segment in self.segments:
            for part in self.parts(segment):
                counts += np.bincount(part.read(VALUES), minlength=len(counts))[: len(counts)]
        return counts


def _segment_groups(root: zarr.Group) -> dict[str, zarr.Group]:
    segments = root.get(SEGMENTS)
    return dict(segments.groups()) if isinstance(segments, zarr.Group) else {}


def unfinished(repository: Repository) -> NotFoundError:
    """The error for a store without a finished version: says what an interrupted build has kept."""
    versions = [next(iter(repository.ancestry(tip))) for tip in repository.checkpoints().values()]
    kept = "".join(f" {version.metadata['rows']:,} rows are kept." for version in versions if version.is_checkpoint)
    return NotFoundError(
        f"{repository.location} has no finished version: its build was interrupted or is still running.{kept}",
        hint="Run the same build command again: it goes on from the last checkpoint.",
    )
