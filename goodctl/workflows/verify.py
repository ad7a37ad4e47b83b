"""Verify a datastore: its files, descriptions and arrays, its codes against its keys, and the flat files beside it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import zarr

from goodctl.datastore.beside import folder_of
from goodctl.datastore.checks import Problem, check_array_padding
from goodctl.datastore.codes import CODES, CodecInfo, codec_infos, codec_names, read_codec, read_codes
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.format import KEYS
from goodctl.datastore.parts import CODECS, StoredPart
from goodctl.datastore.reference import split_reference
from goodctl.datastore.repository import Repository, damaged_metadata
from goodctl.datastore.store import Datastore
from goodctl.datastore.verify import STAGE, Touched, Verification, is_touched, openable
from goodctl.errors import DamagedError, GoodctlError
from goodctl.index.cache import Cache
from goodctl.index.codec import Codec
from goodctl.index.library import is_installed
from goodctl.models.device import choose_device
from goodctl.progress import Progress, Report, silent

SAMPLE = 256
MOST_EXCESS = 1.5
"""Equal distances may choose another list on another machine: a code need not be the same, only about as near."""
_BLOCK = 16_384


@dataclass(frozen=True)
class VerifyResult:
    """What was found.

    Attributes:
        store: As the user named it.
        snapshot: The version that was checked.
        deep: Whether all versions were.
        problems: What is not as it should be.
        good_segments: Segments of the version that are whole.
        damaged_segments: Those that are not.
        good_version: The newest version that can be opened, where the one asked for is damaged.
        versions: Number of versions that were looked at.
        rows: Rows whose arrays were read.
        bytes_read: Of arrays.
        notes: What was not checked, and why.
        seconds: Of all of it.
    """

    store: str
    snapshot: str | None
    deep: bool
    problems: tuple[Problem, ...]
    good_segments: tuple[SegmentInfo, ...]
    damaged_segments: tuple[SegmentInfo, ...]
    good_version: str | None
    versions: int
    rows: int
    bytes_read: int
    notes: tuple[str, ...]
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        plain = {**asdict(self), "good": self.is_good, "notes": list(self.notes)}
        plain["problems"] = [problem.to_dict() for problem in self.problems]
        for name in ("good_segments", "damaged_segments"):
            plain[name] = [
                {"id": each.id, "language": each.language, "label": each.label, "rows": each.rows}
                for each in getattr(self, name)
            ]
        return plain


def verify(store: str, *, deep: bool = False, device: str = "auto", report: Report = silent) -> VerifyResult:
    """Check a version of a store, or all of them; nothing is changed.

    Args:
        store: ``STORE`` or ``STORE@REF``.
        deep: Check every version that a branch or tag leads to, and all codes instead of a sample.
        device: Where keys are encoded, to compare codes with them.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such store or version.
    """
    started = time.monotonic()
    location, reference = split_reference(store)
    codes = _Codes(choose_device(device), whole=deep)
    work = Verification(Repository.open(location), codes.check, report)
    work.small_files()
    notes = _unrecorded(work.repository)
    opened = None
    try:
        opened = Datastore.from_repository(work.repository, reference)
        with damaged_metadata(location):
            work.version(opened)
    except DamagedError as error:
        work.found("version", reference or "main", error.message)
    if deep:
        work.history(opened.version.id if opened else None)
    _check_cache(work)
    report(Progress(STAGE, work.rows, work.rows, "rows", finished=True))
    newest = opened.version.id if opened else None
    damaged = {problem.segment for problem in work.problems if problem.segment and problem.snapshot == newest}
    segments = opened.segments if opened else ()
    return VerifyResult(
        store=store,
        snapshot=newest,
        deep=deep,
        problems=tuple(work.problems),
        good_segments=tuple(each for each in segments if each.id not in damaged),
        damaged_segments=tuple(each for each in segments if each.id in damaged),
        good_version=_good_version(work),
        versions=work.versions,
        rows=work.rows,
        bytes_read=work.bytes_read,
        notes=tuple(dict.fromkeys([*notes, *codes.notes])),
        seconds=time.monotonic() - started,
    )


def _unrecorded(repository: Repository) -> list[str]:
    if not (names := repository.unrecorded_files()):
        return []
    return [
        f"{len(names)} small files of the repository were not compared: checksums.sha256 does not list them, such as "
        f"{names[0]}"
    ]


def _good_version(work: Verification) -> str | None:
    """The newest version without a known problem, where there are problems."""
    if all(problem.kind == "cache" for problem in work.problems):
        return None
    segments = {problem.segment for problem in work.problems if problem.segment}
    versions = {problem.snapshot for problem in work.problems if problem.kind != "cache"}
    for version in openable(work.repository):
        if version.version.id not in versions and not segments & {segment.id for segment in version.segments}:
            return version.version.id
    return None


class _Codes:
    """Checks codecs and codes of versions.

    Args:
        device: Where keys are encoded.
        whole: Compare all codes with their keys, not a sample.
    """

    def __init__(self, device: torch.device, *, whole: bool) -> None:
        self._device, self._whole = device, whole
        self._codecs: dict[str, Codec | None] = {}
        self._damaged: dict[str, str] = {}
        self.notes: list[str] = []

    def check(self, work: Verification, store: Datastore, touched: Touched) -> None:
        """Check the codecs of a version, and the codes of its segments."""
        infos, snapshot = codec_infos(store.root, store.location), store.version.id
        for name in codec_names(store.root):
            group = store.root[f"{CODECS}/{name}"]
            if isinstance(group, zarr.Group) and (name not in self._codecs or is_touched(group, touched)):
                self._load(work, store, name, infos.get(name))
        for segment in store.segments:
            if segment.codes is None:
                continue
            if what := self._damaged.get(segment.codes.codec):
                where = f"segments/{segment.id}"
                work.found("codes", where, what, segment=segment.id, snapshot=snapshot)
                continue
            info = infos.get(segment.codes.codec)
            if info is None:
                what = f"has codes of codec {segment.codes.codec[:8]}, which is not there"
                work.found("codes", f"segments/{segment.id}", what, segment=segment.id, snapshot=snapshot)
                continue
            for part in store.parts(segment):
                if is_touched(part.group, touched):
                    self._part(work, part, segment, info, snapshot)

    def _load(self, work: Verification, store: Datastore, name: str, info: CodecInfo | None) -> None:
        """Check a codec's description and bytes; keep it where it serves for comparing codes."""
        where, codec = f"{CODECS}/{name}", None
        try:
            trained = read_codec(store.root, name, store.location)
            if what := check_array_padding(store.root[f"{where}/trained"]):
                work.found("codec", where, what, snapshot=store.version.id)
            if info is None:
                work.found("codec", where, "has an unreadable description", snapshot=store.version.id)
            elif not is_installed():
                self.notes.append("codes were not compared with keys: faiss is not installed")
            else:
                codec = Codec.load(info, trained)
        except GoodctlError as error:
            work.found("codec", where, error.message, snapshot=store.version.id)
            self._damaged[name] = f"cannot be searched by its codes: codec {name[:8]} is damaged"
        self._codecs[name] = codec

    def _part(self, work: Verification, part: StoredPart, segment: SegmentInfo, info: CodecInfo, snapshot: str) -> None:
        where = f"{part.group.path}/{CODES}/{info.id}"
        try:
            codes = read_codes(part, info)
            work.bytes_read += codes.nbytes
            what = check_array_padding(part.group[f"{CODES}/{info.id}"]) or self._compared(part, codes, info)
        except GoodctlError as error:
            what = error.message
        if what:
            work.found("codes", where, what, segment=segment.id, snapshot=snapshot)

    def _compared(self, part: StoredPart, codes: Any, info: CodecInfo) -> str | None:
        """What is wrong with codes beside their keys, or None."""
        codec = self._codecs.get(info.id)
        if codec is None:
            return None
        if codec.lists and int(codec.split(codes)[0].max(initial=0)) >= codec.lists:
            return f"names lists that codec {info.id[:8]} does not have"
        chosen = np.arange(part.rows)
        if not self._whole and part.rows > SAMPLE:
            chosen = np.sort(np.random.default_rng(0).choice(part.rows, SAMPLE, replace=False))
        keys, wrong = part.read(KEYS), 0
        for start in range(0, len(chosen), _BLOCK):
            rows = chosen[start : start + _BLOCK]
            exact = keys[rows].astype(np.float32)
            if not np.isfinite(exact).all():
                return None  # the keys are what is damaged
            with np.errstate(invalid="ignore", over="ignore"):  # codes of a damaged codec decode to anything
                stored = np.square(exact - codec.decode(codes[rows])).sum(1)
            anew = np.square(exact - codec.decode(codec.encode(exact, self._device))).sum(1)
            wrong += int((~(stored <= MOST_EXCESS * anew + 1e-6 * np.square(exact).sum(1))).sum())
        return f"has {wrong} codes of {len(chosen)} that are not of their keys" if wrong else None


def _check_cache(work: Verification) -> None:
    """Flat files beside the store: a damaged one is made again once it is deleted."""
    own = work.repository.cache_folder()
    if own is None or folder_of(work.repository) != own:
        return
    for name, what in Cache(own).damaged().items():
        work.found("cache", f"cache/{name}", what)
