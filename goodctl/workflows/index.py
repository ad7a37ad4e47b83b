"""Make the codes of a whole store anew: one codec trained on everything, in one new version; the keys stay."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from goodctl.datastore.change import writable
from goodctl.datastore.codes import codec_infos, codec_names, delete_codec
from goodctl.datastore.description import SegmentCodes
from goodctl.datastore.parts import segment_group
from goodctl.datastore.repository import Session, translated_errors, writer_lock
from goodctl.datastore.store import Datastore
from goodctl.index.advise import EXACT_ROWS, Advice, advise
from goodctl.index.kinds import AUTO, EXACT, NONE
from goodctl.index.library import is_installed, library
from goodctl.interruption import Interruption
from goodctl.models.device import choose_device
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.coding import Coding, session_version
from goodctl.workflows.index_choice import IndexChoice


@dataclass(frozen=True)
class IndexResult:
    """What was done.

    Attributes:
        store: As the user named it.
        snapshot: Id of the new version; of the newest one, where exact search was chosen for a store without codes.
        rows: Rows of the store.
        kind: ``exact``, ``ivf-sq8``, ``ivf-pq`` or ``factory``.
        factory: faiss factory string; empty for ``exact``.
        codec: Fingerprint of the new codec, or None.
        code_size: Bytes of a row's code.
        error: Reconstruction error of the codec, or None.
        settings: Fidelity to nprobe, rerank and what was measured with them.
        reason: Why this kind.
        seconds: Of all of it.
        bytes_written: By which the repository has grown.
    """

    store: str
    snapshot: str
    rows: int
    kind: str
    factory: str
    codec: str | None
    code_size: int
    error: float | None
    settings: dict[str, dict[str, Any]]
    reason: str
    seconds: float
    bytes_written: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class IndexRun:
    """How the job runs.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``: where centres are found.
        message: Commit message.
        interruption: Who may ask the job to stop.
        report: Gets progress.
    """

    device: str = "auto"
    message: str | None = None
    interruption: Interruption = field(default_factory=Interruption)
    report: Report = silent


def index(store: str, choice: IndexChoice | None = None, running: IndexRun | None = None) -> IndexResult:
    """Train a codec on all rows of a store and encode them with it, in one new version.

    Earlier versions keep their codes. Stopped at any moment, the store is what it was.

    Args:
        store: An existing store, or ``STORE@BRANCH``.
        choice: Kind, memory budget and target; ``codec`` has no meaning here.
        running: Device, message, progress.

    Raises:
        NotFoundError: There is no such store.
        UsageError: A version was named that is no branch; nothing fits into the budget; faiss rejects the factory
            string.
        MissingDependency: faiss is needed and not installed.
        Interrupted: Stopped on request.
    """
    choice, running = choice or IndexChoice(), running or IndexRun()
    location, branch = writable(store, "goodctl datastore index")
    device = choose_device(running.device)
    choice.check(Datastore.open(store).header.dimension)
    with writer_lock(location, "goodctl datastore index"):
        started = time.monotonic()
        current = Datastore.open(store)
        advice = _advice(current, choice, device)
        if advice is not None:
            running.report(Progress("", note=f"index: {advice.kind}, since {advice.reason}"))
        repository = current.repository
        before = repository.disk_bytes()
        if advice is not None and (why := _nothing_to_do(current, choice, advice)):
            running.report(Progress("", note=f"nothing to change: {why}"))
            return _result(store, current.version.id, None, EXACT, advice, time.monotonic() - started, before)
        session = repository.session(branch)
        coding = Coding(choice, device, None, running.report, running.interruption, kept="The store is what it was")
        with translated_errors(store, "write to"), running.interruption.deferring():
            codes = coding.retrain(session_version(current, session.root, current.segments), advice)
            _describe(session, current, codes)
            coding.check_interrupted()
        codec = next(iter(codes.values())).codec if codes else None
        kind = advice.kind if advice else choice.kind
        results = {"rows": 0, "documents": 0, "languages": {}, "codec": codec}
        metadata = {"kind": "result", "command": "index", "results": results}
        snapshot = session.commit(running.message or f"index {kind} over {current.rows:,} rows", metadata)
        return _result(store, snapshot, codec, kind, advice, time.monotonic() - started, before)


def _advice(current: Datastore, choice: IndexChoice, device: Any) -> Advice | None:
    """What to do, where that is not a kind or factory string that was asked for."""
    if choice.kind in {EXACT, NONE} or not current.rows:
        return Advice(EXACT, "", 0, "that was asked for" if current.rows else "the store has no rows")
    if choice.kind != AUTO:
        return None
    header = current.header
    return advise(
        current.rows,
        header.dimension,
        np.dtype(header.key_dtype).itemsize,
        device=device,
        budget_bytes=choice.memory_budget_bytes,
        faiss_installed=is_installed(),
    )


def _nothing_to_do(current: Datastore, choice: IndexChoice, advice: Advice) -> str | None:
    """Why the store stays as it is, or None.

    A choice that follows from this machine must not take away codes that another one needs.

    Raises:
        MissingDependency: The store has codes, and without faiss no others can be made.
    """
    if advice.kind != EXACT:
        return None
    if not _has_codes(current):
        return "the store has no codes"
    if choice.kind == AUTO and current.rows > EXACT_ROWS:
        library()
        return "exact search is fastest here; machines without such a GPU need the codes. --index exact removes them"
    return None


def _has_codes(current: Datastore) -> bool:
    return any(segment.codes for segment in current.segments) or bool(codec_names(current.root))


def _describe(session: Session, current: Datastore, codes: dict[str, SegmentCodes]) -> None:
    for segment in current.segments:
        of_it = codes.get(segment.id)
        segment_group(session.root, segment.id).attrs.update({"codes": asdict(of_it) if of_it else None})
    used = {each.codec for each in codes.values()}
    for name in codec_names(session.root):
        if name not in used:
            delete_codec(session.root, name)


def _result(
    store: str, snapshot: str, codec: str | None, kind: str, advice: Advice | None, seconds: float, before: int
) -> IndexResult:
    now = Datastore.open(store)
    info = codec_infos(now.root, store).get(codec) if codec else None
    return IndexResult(
        store=store,
        snapshot=snapshot,
        rows=now.rows,
        kind=kind,
        factory=info.factory if info else "",
        codec=codec,
        code_size=info.code_size if info else 0,
        error=info.error if info else None,
        settings=info.settings if info else {},
        reason=advice.reason if advice else "that was asked for",
        seconds=seconds,
        bytes_written=now.repository.disk_bytes() - before,
    )
