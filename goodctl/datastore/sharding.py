"""Sharding: several complete stores out of one version, with the codecs they share."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from goodctl import __version__
from goodctl.datastore.assembly import counts, provenance, put_takes, put_whole
from goodctl.datastore.change import creating, refuse_existing
from goodctl.datastore.cutting import Shard, by_property, by_rows
from goodctl.datastore.reference import MAIN
from goodctl.datastore.repository import Repository, inside, is_store, stores_in
from goodctl.datastore.store import Datastore
from goodctl.errors import ExistsError, UsageError
from goodctl.progress import Progress, Report, silent

STAGE = "copying"


@dataclass(frozen=True)
class ShardInfo:
    """One shard, as it is there.

    Attributes:
        store: Where it is.
        snapshot: Its only version.
        rows: In it.
        documents: In it.
        languages: Rows by language.
        kept: Whether an interrupted run of the same command had made it.
    """

    store: str
    snapshot: str
    rows: int
    documents: int
    languages: dict[str, int]
    kept: bool


@dataclass(frozen=True)
class ShardResult:
    """What was made.

    Attributes:
        store: As the user named it.
        snapshot: The version that was cut.
        shards: In order; merged in this order they give the rows in the order of the store, unless cut by source.
        rows: Of all of them.
        seconds: Of all of it.
    """

    store: str
    snapshot: str
    shards: tuple[ShardInfo, ...]
    rows: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "shards": [asdict(shard) for shard in self.shards]}


def shard(
    store: str,
    out: str,
    *,
    count: int | None = None,
    by: str | None = None,
    message: str | None = None,
    check: bool = False,
    report: Report = silent,
) -> ShardResult:
    """Cut a version of a store into several stores.

    Each is written in one commit. Run again after it was stopped, the shards that are there already are kept.

    Args:
        store: ``STORE`` or ``STORE@REF``.
        out: Folder for the shards.
        count: How many shards of about the same number of rows; cuts fall between documents.
        by: Or one for each ``language``, ``label`` or ``source``.
        message: Commit message.
        check: Compare what is read with its hashes.
        report: Gets progress.

    Raises:
        UsageError: Neither or both of ``count`` and ``by``, or more shards than documents.
        NotFoundError: There is no such store or version.
        ExistsError: Something else is at a shard's place.
    """
    started = time.monotonic()
    if (count is None) == (by is None):
        raise UsageError("A store is cut either by --shards or by --by.", hint="For example --by language.")
    if is_store(out):
        raise ExistsError(f"{out} is a datastore itself.", hint="Name a folder that the shards can be put into.")
    source = Datastore.open(store, check=check)
    shards = by_rows(source, count) if count is not None else by_property(source, by or "")
    plans = [
        (inside(out, each.name), each, _cut(source, number, each, count, by)) for number, each in enumerate(shards)
    ]
    there = {place for place, _, cut in plans if _is_made(place, cut)}
    if others := [other for other in stores_in(out) if other not in {place for place, _, _ in plans}]:
        raise ExistsError(
            f"{out} holds other datastores: {', '.join(others[:3])}.",
            hint="Choose a folder of its own for these shards, so that a glob of it means them alone.",
        )
    for place, _, _ in plans:
        if place not in there:
            refuse_existing(place)
    done, made = 0, []
    for place, each, cut in plans:
        if place not in there:
            _write(source, place, each, cut, message or f"shard {each.name} of {store}", report, done)
        info = _described(place, kept=place in there)
        done += info.rows
        made.append(info)
    report(Progress(STAGE, done, source.rows, "rows", finished=True))
    return ShardResult(store, source.version.id, tuple(made), done, time.monotonic() - started)


def _cut(source: Datastore, number: int, each: Shard, count: int | None, by: str | None) -> dict[str, Any]:
    """What is recorded with a shard: the same for the same shard of the same version."""
    return {"snapshot": source.version.id, "name": each.name, "number": number, "shards": count, "by": by}


def _is_made(place: str, cut: dict[str, Any]) -> bool:
    """Whether a shard was made by an earlier run of the same command."""
    if not is_store(place):
        return False
    repository = Repository.open(place)
    first = [version for version in repository.ancestry(repository.tip()) if not version.is_root]
    return len(first) == 1 and first[0].metadata.get("shard") == cut


def _write(
    source: Datastore, place: str, each: Shard, cut: dict[str, Any], message: str, report: Report, done: int
) -> None:
    moved = 0

    def told(size: int) -> None:
        nonlocal moved
        moved += size
        report(Progress(STAGE, min(source.rows, done + moved // source.header.row_bytes), source.rows, "rows"))

    with creating(place, "shard") as change:
        change.describe(source.header.begun(f"goodctl {__version__}"))
        written = [
            put_whole(change, source, segment, order, moved=told)
            if takes is None
            else put_takes(change, source, segment, takes, order, moved=told)
            for order, (segment, takes) in enumerate(each.pieces)
        ]
        change.commit(message, counts(written), shard=cut, inputs=[provenance(source)])


def _described(place: str, *, kept: bool) -> ShardInfo:
    made = Datastore.from_repository(Repository.open(place), MAIN)
    return ShardInfo(place, made.version.id, **counts(made.segments), kept=kept)
