"""What is in a version of a store, as one description with stable names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from goodctl.datastore.beside import cache_bytes, last_measurement
from goodctl.datastore.codes import CodecInfo, codec_infos
from goodctl.datastore.description import SegmentInfo, distances_in_force
from goodctl.datastore.format import FORMAT_VERSION, LINE_DTYPE, OFFSET_DTYPE, SOURCE_DTYPE, VALUE_DTYPE
from goodctl.datastore.store import Datastore


def summary(store: Datastore, frequent: int = 10) -> dict[str, Any]:
    """Describe a version of a store: the data of ``goodctl datastore inspect``.

    Args:
        store: Open version.
        frequent: How many of the most frequent next tokens to name.

    Returns:
        JSON values: store, snapshot, written_at, message, format_version, model, key_layer, key_module, key_dtype,
        dimension, vocabulary, window, rows, documents, languages, labels, sources, segments, codecs, distances,
        measured, disk, frequent_tokens, unfinished. Sizes are in bytes.
    """
    distances = distances_in_force(store.segments)
    header, codecs = asdict(store.header), codec_infos(store.root, store.location)
    return {
        "store": store.location,
        "snapshot": store.version.id,
        "written_at": store.version.written_at.isoformat(timespec="seconds"),
        "message": store.version.message,
        "format_version": FORMAT_VERSION,
        **header,
        "rows": store.rows,
        "documents": store.documents,
        "languages": _totals((segment.language, segment) for segment in store.segments),
        "labels": _totals((segment.label, segment) for segment in store.segments if segment.label is not None),
        "sources": _sources(store.segments),
        "segments": [_segment(store, segment, codecs) for segment in store.segments],
        "codecs": _codecs(store, codecs),
        "distances": distances.to_dict() if distances else None,
        "measured": last_measurement(store),
        "disk": {
            "version_bytes": sum(_segment_bytes(store, segment, codecs) for segment in store.segments),
            "repository_bytes": store.repository.disk_bytes(),
            "cache_bytes": cache_bytes(store),
        },
        "frequent_tokens": _frequent_tokens(store, frequent),
        "unfinished": _unfinished(store),
    }


def _totals(segments: Iterable[tuple[str | None, SegmentInfo]]) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for name, segment in segments:
        entry = totals.setdefault(str(name), {"rows": 0, "documents": 0})
        entry["rows"] += segment.rows
        entry["documents"] += segment.documents
    return totals


def _sources(segments: Iterable[SegmentInfo]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for segment in segments:
        for source in segment.sources:
            start = {"name": source.name, "sha256": source.sha256, "size_bytes": source.size_bytes}
            entry = found.setdefault((source.name, source.sha256), {**start, "rows": 0, "documents": 0})
            entry["rows"] += source.rows
            entry["documents"] += source.documents
    return list(found.values())


def _segment(store: Datastore, segment: SegmentInfo, codecs: dict[str, CodecInfo]) -> dict[str, Any]:
    return {
        "id": segment.id,
        "language": segment.language,
        "label": segment.label,
        "rows": segment.rows,
        "documents": segment.documents,
        "parts": segment.parts,
        "bytes": _segment_bytes(store, segment, codecs),
        "added_at": segment.added_at,
        "precision": segment.precision,
        "codes": {**asdict(segment.codes), "drift": segment.codes.drift} if segment.codes else None,
        "sources": [source.name for source in segment.sources],
        "settings": segment.settings,
        "sha256": segment.sha256,
    }


def _codecs(store: Datastore, infos: dict[str, CodecInfo]) -> list[dict[str, Any]]:
    """The codecs that segments of this version use, with how many segments and rows."""
    found: dict[str, dict[str, Any]] = {}
    for segment in store.segments:
        if segment.codes and segment.codes.codec in infos:
            info = infos[segment.codes.codec]
            entry = found.setdefault(info.id, {**asdict(info), "segments": 0, "rows": 0})
            entry["segments"] += 1
            entry["rows"] += segment.rows
    return list(found.values())


def _segment_bytes(store: Datastore, segment: SegmentInfo, codecs: dict[str, CodecInfo]) -> int:
    """Bytes of a segment's arrays, its codes included, uncompressed."""
    per_document = OFFSET_DTYPE.itemsize + SOURCE_DTYPE.itemsize + LINE_DTYPE.itemsize
    key_bytes = store.header.dimension * np.dtype(store.header.key_dtype).itemsize
    code_bytes = codecs[segment.codes.codec].code_size if segment.codes and segment.codes.codec in codecs else 0
    return segment.rows * (key_bytes + code_bytes + VALUE_DTYPE.itemsize) + segment.documents * per_document


def _frequent_tokens(store: Datastore, count: int) -> list[dict[str, Any]]:
    texts = {token: text for segment in store.segments for token, text in segment.tokens.items()}
    counts = store.value_counts()
    top = np.argsort(-counts, kind="stable")[:count]
    return [
        {
            "id": int(token),
            "text": texts.get(str(token)),
            "count": int(counts[token]),
            "share": float(counts[token] / max(store.rows, 1)),
        }
        for token in top
        if counts[token]
    ]


def _unfinished(store: Datastore) -> list[dict[str, Any]]:
    found = []
    for tip in store.repository.checkpoints().values():
        version = next(iter(store.repository.ancestry(tip)))
        if version.is_checkpoint:
            since = version.written_at.isoformat(timespec="seconds")
            found.append({"rows": version.metadata["rows"], "checkpoint": since})
    return found
