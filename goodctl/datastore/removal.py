"""Removing documents from a store: one new version without them; earlier versions keep them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from goodctl.datastore.change import Change, changing
from goodctl.datastore.codes import codec_infos
from goodctl.datastore.copying import unwatched
from goodctl.datastore.parts import part_names, segment_group
from goodctl.datastore.removal_plan import Plan, Removal, lost_counts, planned
from goodctl.datastore.takes import Take, recounted, write_takes
from goodctl.progress import Progress, Report, silent


@dataclass(frozen=True)
class RemovalResult:
    """What was removed.

    Attributes:
        store: As the user named it.
        snapshot: Id of the new version; of the newest one after a dry run.
        before: Id of the version that still has everything.
        rows: Rows that were removed.
        documents: Documents that were removed.
        languages: Rows that were removed, by language.
        segments: Segments that went as a whole.
        rewritten: Segments that lost some of their documents.
        codecs: Codecs that no segment uses any more.
        store_rows: Rows of the new version.
        store_documents: Documents of the new version.
        bytes_written: By which the repository has grown.
        seconds: Of all of it.
        dry_run: Whether nothing was changed.
    """

    store: str
    snapshot: str
    before: str
    rows: int
    documents: int
    languages: dict[str, int]
    segments: int
    rewritten: int
    codecs: tuple[str, ...]
    store_rows: int
    store_documents: int
    bytes_written: int
    seconds: float
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "codecs": list(self.codecs)}


def remove(
    store: str, removal: Removal, *, message: str | None = None, dry_run: bool = False, report: Report = silent
) -> RemovalResult:
    """Make a version of a store without some of its documents.

    Where whole segments go, the cost does not grow with what stays. Of other segments the parts that lose documents
    are written anew, and all rows are read once to hash them.

    Args:
        store: ``STORE`` or ``STORE@BRANCH``.
        removal: Which documents.
        message: Commit message.
        dry_run: Only say what would be removed.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such store, or nothing in it that is to be removed.
        UsageError: Nothing is named, or a version that is no branch.
        ConflictError: Another process writes.
    """
    started = time.monotonic()
    with changing(store, "remove") as change:
        current = change.current
        assert current is not None
        removal.check(current)
        before = change.repository.disk_bytes()
        plan = planned(current, removal, report)
        after = [segment for segment in current.segments if segment not in plan.whole]
        lost = {info.id: lost_counts(current, info, masks) for info, masks in plan.partial}
        languages: dict[str, int] = {}
        documents = sum(segment.documents for segment in plan.whole) + sum(each[1] for each in lost.values())
        for segment in current.segments:
            gone = segment.rows if segment in plan.whole else lost.get(segment.id, (0, 0))[0]
            if gone:
                languages[segment.language] = languages.get(segment.language, 0) + gone
        rows, snapshot, codecs = sum(languages.values()), current.version.id, change.unused_codecs(after)
        if not dry_run:
            _apply(change, plan, report)
            change.drop_unused_codecs(after)
            results = {
                "rows": -rows,
                "documents": -documents,
                "languages": {name: -count for name, count in languages.items()},
            }
            snapshot = change.commit(message or f"remove {_described(removal)}", results, removed=asdict(removal))
        return RemovalResult(
            store=store,
            snapshot=snapshot,
            before=current.version.id,
            rows=rows,
            documents=documents,
            languages=languages,
            segments=len(plan.whole),
            rewritten=len(plan.partial),
            codecs=tuple(codecs),
            store_rows=current.rows - rows,
            store_documents=current.documents - documents,
            bytes_written=change.repository.disk_bytes() - before,
            seconds=time.monotonic() - started,
            dry_run=dry_run,
        )


def _described(removal: Removal) -> str:
    named = [("language", removal.languages), ("label", removal.labels), ("source", removal.sources)]
    named.append(("document", removal.documents))
    return ", ".join(f"{what} {' '.join(names)}" for what, names in named if names)


def _apply(change: Change, plan: Plan, report: Report) -> None:
    assert change.current is not None
    current = change.current
    for segment in plan.whole:
        change.delete(segment)
    codecs = codec_infos(current.root, current.location)
    for done, (segment, masks) in enumerate(plan.partial):
        report(Progress("rewriting", done, len(plan.partial), "segments"))
        group = segment_group(change.root, segment.id)
        codec = codecs.get(segment.codes.codec) if segment.codes else None
        names = part_names(group)
        for number, part in enumerate(current.parts(segment)):
            if number not in masks:
                continue
            del group[f"parts/{names[number]}"]
            if not masks[number].all():
                write_takes(group, [[Take(part, ~masks[number])]], codec, unwatched, first=int(names[number]))
        own = recounted(
            segment,
            group,
            current.location,
            sources=segment.sources,
            origins=segment.all_origins(),
            texts=segment.tokens,
        )
        change.put(own)
    report(Progress("rewriting", len(plan.partial), len(plan.partial), "segments", finished=True))
