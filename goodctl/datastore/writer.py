"""Writing segments: checkpoints on a hidden branch, one move of ``main`` at the end."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import zarr

from goodctl.datastore.description import Distances, SegmentCodes, SegmentInfo, SourceInfo
from goodctl.datastore.format import Header
from goodctl.datastore.parts import CODECS, SEGMENTS, copy_segment, segment_group
from goodctl.datastore.reference import CHECKPOINT_PREFIX, MAIN
from goodctl.datastore.repository import Repository, Session, translated_errors
from goodctl.datastore.segments import Rows, SegmentBuffer
from goodctl.errors import InputError

PART_BYTES = 64 * 2**20
"""Rows are buffered up to this size before they are written as a part."""

MOST_LANGUAGES = 1000
"""Each language is a segment; more of them than this are a mistaken field rather than languages."""

_MOVING = "moving-"


@dataclass(frozen=True)
class Coded:
    """How new segments are searched.

    Attributes:
        codes: Segment id to its codes; segments that are searched exactly are not in it.
        distances: That queries meet in the version with the new segments, or None.
    """

    codes: Mapping[str, SegmentCodes] = field(default_factory=dict)
    distances: Distances | None = None


Code = Callable[[zarr.Group, Sequence[SegmentInfo]], Coded]
"""Writes codes beside the keys of new segments, given a session's root group."""


def no_codes(root: zarr.Group, segments: Sequence[SegmentInfo]) -> Coded:
    """The default: the segments are searched exactly."""
    return Coded()


@dataclass(frozen=True)
class Addition:
    """What one command adds, beyond the rows themselves.

    Attributes:
        command: ``build`` or ``add``.
        message: Commit message.
        job: Fingerprint of text, model and settings: names the checkpoints, and is found again in the segments.
        label: What the user calls the text, or None.
        precision: In which the model ran.
        settings: What selected the text and shaped the encoding.
        sources: Files and datasets of the text.
    """

    command: str
    message: str
    job: str
    label: str | None
    precision: str
    settings: dict[str, Any]
    sources: tuple[SourceInfo, ...]


@dataclass
class Writer:
    """Adds segments to a repository; call everything with the writers' lock held.

    Work happens on a hidden branch named after the job. ``checkpoint`` commits to it, ``finish`` commits the last rows
    and descriptions and moves ``main`` there. A run that is killed leaves ``main`` where it was; the next ``Writer`` of
    the same job takes up the branch.

    Attributes:
        repository: Where to write.
        header: Written with the first segment of a new store.
        addition: What is added.
        part_bytes: Rows are buffered up to this size.
        clock: Seconds that go on.
        branch: What is moved to the result.
        state: What the last checkpoint recorded; None when there was none.
        seconds: Time spent writing, hashing and committing so far.
    """

    repository: Repository
    header: Header
    addition: Addition
    part_bytes: int = PART_BYTES
    clock: Callable[[], float] = time.monotonic
    branch: str = MAIN
    state: dict[str, Any] | None = None
    seconds: float = 0.0
    _segments: dict[str, SegmentBuffer] = field(default_factory=dict)
    _session: Session | None = None

    def __post_init__(self) -> None:
        self._branch = CHECKPOINT_PREFIX + self.addition.job
        self._base = self.repository.tip(self.branch)
        self._sweep()
        tip = self.repository.branches().get(self._branch)
        if tip is not None:
            self._resume(tip)

    @property
    def rows(self) -> int:
        """Rows written or buffered by this job, those of resumed checkpoints included."""
        return sum(segment.rows + segment.buffered_rows for segment in self._segments.values())

    def append(self, language: str, rows: Rows) -> None:
        """Take rows of one language; writes a part when enough are buffered."""
        if not len(rows.values):
            return
        if language not in self._segments:
            if len(self._segments) >= MOST_LANGUAGES:
                raise InputError(
                    f"The text has more than {MOST_LANGUAGES:,} languages, such as {language!r}.",
                    hint="Check --language-field: it should name a field with language codes.",
                )
            self._segments[language] = self._new_segment(language)
        self._segments[language].append(rows)
        while sum(other.buffered_bytes for other in self._segments.values()) >= self.part_bytes:
            self._flush(max(self._segments.values(), key=lambda other: other.buffered_bytes))

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Commit everything appended so far to the hidden branch, with ``state`` for the run that resumes."""
        for segment in self._segments.values():
            if segment.buffered_rows:
                self._flush(segment)
        self.state = state
        if self._session is None:  # nothing new since the last one
            return
        started = self.clock()
        rows = sum(segment.rows for segment in self._segments.values())
        metadata = {
            "kind": "checkpoint",
            "base": self._base,
            "rows": rows,
            "languages": list(self._segments),
            "state": state,
        }
        self._session.commit(f"checkpoint: {rows:,} rows", metadata)
        self._session = None
        self.seconds += self.clock() - started

    def finish(
        self, state: dict[str, Any], decode: Callable[[int], str], results: dict[str, Any], code: Code = no_codes
    ) -> str:
        """Checkpoint, give the new segments codes and descriptions, commit, and move the branch to the result.

        A kill between the last two leaves a result that nobody sees; the next run of the job steps back to the
        checkpoint before it and finishes again.

        Args:
            state: As for ``checkpoint``.
            decode: Text of a token id.
            results: Counts to keep with the commit.
            code: Writes codes, and may measure; what it raises leaves the checkpoint as it is.

        Returns:
            Id of the new snapshot.

        Raises:
            ConflictError: The branch has moved although the lock was held.
        """
        self.checkpoint(state)
        started = self.clock()
        session = self._open()
        order = self._next_order(session.root)
        segments = [self._describe(each, order + n, decode) for n, each in enumerate(self._segments.values())]
        with translated_errors(self.repository.location, "write to"):
            coded = code(session.root, segments)
            for segment in segments:
                distances = coded.distances if segment is segments[-1] else None
                described = replace(segment, codes=coded.codes.get(segment.id), distances=distances)
                segment_group(session.root, segment.id).attrs.update(described.to_dict())
        metadata = {"kind": "result", "command": self.addition.command, "results": results}
        snapshot = session.commit(self.addition.message, metadata)
        self.repository.move_branch(self.branch, snapshot, expected=self._base)
        self.repository.delete_branch(self._branch)
        self._session = None
        self.seconds += self.clock() - started
        return snapshot

    def languages(self) -> dict[str, int]:
        """Rows of this job by language."""
        return {name: segment.rows + segment.buffered_rows for name, segment in self._segments.items()}

    def discard(self) -> None:
        """Forget everything that this job has written."""
        self._session, self._segments = None, {}
        if self._branch in self.repository.branches():
            self.repository.delete_branch(self._branch)

    def _sweep(self) -> None:
        """Delete hidden branches that hold nothing: killed before the first commit, after the last, or in a copy."""
        for job, tip in self.repository.checkpoints().items():
            if tip == self._base or job.startswith(_MOVING):
                self.repository.delete_branch(CHECKPOINT_PREFIX + job)

    def _new_segment(self, language: str) -> SegmentBuffer:
        name = hashlib.sha256(f"{self.addition.job}\0{language}".encode()).hexdigest()[:16]
        return SegmentBuffer(name, language)

    def _open(self) -> Session:
        if self._session is None:
            if self._branch not in self.repository.branches():
                self.repository.create_branch(self._branch, self._base)
            self._session = self.repository.session(self._branch)
            if "format" not in self._session.root.attrs:
                self._session.root.attrs.update(self.header.to_dict())
                for name in (SEGMENTS, CODECS):
                    self._session.root.require_group(name)
        return self._session

    def _flush(self, segment: SegmentBuffer) -> None:
        started = self.clock()
        self.repository.require_space(segment.buffered_bytes)
        with translated_errors(self.repository.location, "write to"):
            segment.flush(segment_group(self._open().root, segment.id))
        self.seconds += self.clock() - started

    def _next_order(self, root: zarr.Group) -> int:
        segments = root[SEGMENTS]
        assert isinstance(segments, zarr.Group)
        return 1 + max((int(group.attrs.get("order", -1)) for _, group in segments.groups()), default=-1)  # type: ignore[arg-type]

    def _describe(self, segment: SegmentBuffer, order: int, decode: Callable[[int], str]) -> SegmentInfo:
        addition = self.addition
        return SegmentInfo(
            id=segment.id,
            order=order,
            rows=segment.rows,
            documents=segment.documents,
            parts=segment.parts,
            language=segment.language,
            label=addition.label,
            sources=segment.sources(addition.sources),
            sha256=segment.sha256(),
            added_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            precision=addition.precision,
            job=addition.job,
            settings=addition.settings,
            tokens=segment.frequent_tokens(decode),
        )

    def _resume(self, tip: str) -> None:
        if any(version.id == tip for version in self.repository.ancestry(self._base)):
            self.repository.delete_branch(self._branch)  # killed before the first commit, or after main was moved
            return
        version, parent = itertools.islice(self.repository.ancestry(tip), 2)
        if not version.is_checkpoint:  # killed between the result's commit and the move of main
            self.repository.move_branch(self._branch, parent.id, expected=tip)
            version, tip = parent, parent.id
        if version.metadata["base"] != self._base:
            tip = self._transplant(tip, version.metadata)
        root = self.repository.read(tip)
        for name, group in self._own_groups(root):
            language = str(group.attrs["language"])
            segment = SegmentBuffer(name, language)
            with translated_errors(self.repository.location, "read"):
                segment.resume(group, self.repository.location)
            self._segments[language] = segment
        state = version.metadata["state"]
        assert isinstance(state, dict)
        order = version.metadata["languages"]
        assert isinstance(order, list)
        self._segments = {language: self._segments[language] for language in order}
        self.state = state

    def _own_groups(self, root: zarr.Group) -> list[tuple[str, zarr.Group]]:
        """Groups of segments that this job has begun: those without an order yet."""
        segments = root[SEGMENTS]
        assert isinstance(segments, zarr.Group)
        return [(name, group) for name, group in segments.groups() if "order" not in group.attrs]

    def _transplant(self, tip: str, metadata: dict[str, object]) -> str:
        """Copy a checkpoint onto a ``main`` that has moved since; branches cannot be merged."""
        temporary = CHECKPOINT_PREFIX + _MOVING + self.addition.job
        self.repository.create_branch(temporary, self._base)
        session = self.repository.session(temporary)
        with translated_errors(self.repository.location, "write to"):
            for name, group in self._own_groups(self.repository.read(tip)):
                copy_segment(group, segment_group(session.root, name), self.repository.location)
        moved = session.commit("checkpoint, carried over", {**metadata, "base": self._base})
        self.repository.move_branch(self._branch, moved, expected=tip)
        self.repository.delete_branch(temporary)
        return moved
