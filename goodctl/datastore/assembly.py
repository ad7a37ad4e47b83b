"""Writing segments of other versions into a change: whole ones as they are, cut ones anew, with or without codes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from goodctl.datastore.change import Change
from goodctl.datastore.codes import codec_infos
from goodctl.datastore.copying import Moved, copy_codec, copy_parts, unwatched
from goodctl.datastore.description import SegmentInfo
from goodctl.datastore.parts import segment_group
from goodctl.datastore.store import Datastore
from goodctl.datastore.takes import Take, derived_id, joined, recounted, write_takes
from goodctl.datastore.writer import PART_BYTES
from goodctl.errors import DamagedError


def free_id(change: Change, wanted: str, *parts: str) -> str:
    """The name that a segment wants, or another one where it is taken."""
    segments = change.root.require_group("segments")
    return wanted if wanted not in segments else derived_id(lambda name: name in segments, wanted, *parts)


def put_whole(
    change: Change,
    source: Datastore,
    segment: SegmentInfo,
    order: int,
    *,
    with_codes: bool = True,
    moved: Moved = unwatched,
) -> SegmentInfo:
    """Copy a segment as it is.

    Args:
        change: Where to.
        source: The version that has it.
        segment: Its description there.
        order: Its position in the new version.
        with_codes: Copy codes and codec too, where it has them.
        moved: Is told of bytes.

    Returns:
        Its description in the new version.

    Raises:
        DamagedError: It lacks parts, or stored bytes are missing.
    """
    codec = segment.codes.codec if segment.codes and with_codes else None
    name = free_id(change, segment.id, segment.sha256["keys"])
    group = segment_group(change.root, name)
    if codec:
        copy_codec(source.root, change.root, codec, source.location)
    parts = list(source.parts(segment))
    counted = {"parts": len(parts), "rows": sum(part.rows for part in parts)}
    for what, count in counted.items():
        if count != getattr(segment, what):
            raise DamagedError(
                f"{source.location}: segment {segment.id} has {count:,} {what}, "
                f"{getattr(segment, what):,} were recorded.",
                hint=f"See what else is damaged: goodctl datastore verify {source.location}",
            )
    copy_parts(((part, number) for number, part in enumerate(parts)), group, codec=codec, moved=moved)
    written = replace(segment, id=name, order=order, codes=segment.codes if codec else None)
    change.put(written)
    return written


def put_takes(
    change: Change,
    source: Datastore,
    segment: SegmentInfo,
    takes: Sequence[Take],
    order: int,
    *,
    moved: Moved = unwatched,
) -> SegmentInfo:
    """Write documents of a segment as a segment of its own, with their codes; arguments as of ``put_whole``."""
    info = codec_infos(source.root, source.location).get(segment.codes.codec) if segment.codes else None
    if info:
        copy_codec(source.root, change.root, info.id, source.location)
    name = free_id(change, derived_id(lambda _: False, segment.id, change.command, str(order), *_marks(takes)))
    group = segment_group(change.root, name)
    write_takes(group, joined(takes, PART_BYTES // source.header.row_bytes), info, moved)
    written = recounted(
        replace(segment, id=name, order=order, codes=segment.codes if info else None),
        group,
        change.repository.location,
        sources=segment.sources,
        origins=segment.all_origins(),
        texts=segment.tokens,
    )
    change.put(written)
    return written


def _marks(takes: Sequence[Take]) -> list[str]:
    """What tells these takes from others of the same segment."""
    marks = []
    for take in takes:
        mask = "all" if take.documents is None else hashlib.sha256(take.documents.tobytes()).hexdigest()
        marks.append(f"{take.part.group.path}:{mask}")
    return marks


def counts(segments: Sequence[SegmentInfo]) -> dict[str, Any]:
    """Rows, documents and rows by language, for the log."""
    languages: dict[str, int] = {}
    for segment in segments:
        languages[segment.language] = languages.get(segment.language, 0) + segment.rows
    return {
        "rows": sum(segment.rows for segment in segments),
        "documents": sum(segment.documents for segment in segments),
        "languages": languages,
    }


def provenance(source: Datastore) -> dict[str, Any]:
    """What is recorded of a version that rows were copied from."""
    return {
        "store": source.location,
        "snapshot": source.version.id,
        "message": source.version.message,
        "written_at": source.version.written_at.isoformat(timespec="seconds"),
        "rows": source.rows,
    }
