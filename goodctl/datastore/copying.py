"""Copying stored bytes from one version to another: as they are, several chunks at a time, never all in memory."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import Self

import numpy as np
import zarr
from zarr.abc.buffer import BufferPrototype
from zarr.abc.store import Store
from zarr.buffer import cpu

from goodctl.datastore.awaiting import awaited
from goodctl.datastore.codes import CODES, read_codec
from goodctl.datastore.format import ARRAYS
from goodctl.datastore.parts import CODECS, PARTS, StoredPart
from goodctl.datastore.repository import translated_errors
from goodctl.errors import DamagedError

_AT_ONCE = 3
"""Chunks in flight: more gain nothing on two cores, and each takes up to 16 MiB."""

_METADATA = "zarr.json"

Moved = Callable[[int], None]
"""Is told how many bytes were copied since the last call."""


class _Bytes(cpu.Buffer):
    """Bytes that are passed on as they came, without the copy that the base class makes."""

    _bytes: bytes

    @classmethod
    def from_bytes(cls, bytes_like: bytes | bytearray | memoryview) -> Self:
        raw = bytes(bytes_like)  # no copy of what is bytes already
        buffer = cls.from_array_like(np.frombuffer(raw, dtype="B"))
        buffer._bytes = raw
        return buffer

    def to_bytes(self) -> bytes:
        return self._bytes


_PROTOTYPE = BufferPrototype(buffer=_Bytes, nd_buffer=cpu.NDBuffer)


def unwatched(size: int) -> None:
    """The default ``Moved``: nobody is told."""


def copy_parts(
    parts: Iterable[tuple[StoredPart, int]],
    target: zarr.Group,
    *,
    codec: str | None = None,
    moved: Moved = unwatched,
) -> None:
    """Copy parts as they are.

    Args:
        parts: Parts of one version, and the number that each gets in the target.
        target: Group of the segment that takes them, in a session.
        codec: Copy also the codes of this codec.
        moved: Is told of bytes.

    Raises:
        DamagedError: Stored bytes are missing; of checked parts also: they are not what was written.
    """
    target.require_group(PARTS)
    places, groups, source, location = [], [], target.store, ""
    for part, number in parts:
        if part.checked:
            part.read_all()
        path = f"{target.path}/{PARTS}/{number:06d}"
        names = [*ARRAYS, f"{CODES}/{codec}"] if codec else list(ARRAYS)
        groups += [(part.group.path + name, path + name) for name in (("", f"/{CODES}") if codec else ("",))]
        places += [(f"{part.group.path}/{name}", f"{path}/{name}") for name in names]
        source, location = part.group.store, part.location
    copy_arrays(source, target.store, places, location, groups=groups, moved=moved)


def copy_codec(source: zarr.Group, target: zarr.Group, codec: str, location: str) -> None:
    """Copy a trained codec between root groups, where the target does not have it; its hash is checked.

    Raises:
        DamagedError: Its bytes are not those that were written.
    """
    codecs = target.require_group(CODECS)
    if codec in codecs:
        return
    read_codec(source, codec, location)
    stored = source[f"{CODECS}/{codec}"]
    group = codecs.create_group(codec, attributes=dict(stored.attrs))
    copy_arrays(source.store, target.store, [(f"{stored.path}/trained", f"{group.path}/trained")], location)


def copy_arrays(
    source: Store,
    target: Store,
    places: Sequence[tuple[str, str]],
    location: str,
    *,
    groups: Sequence[tuple[str, str]] = (),
    moved: Moved = unwatched,
) -> None:
    """Copy arrays, metadata and chunks, byte by byte.

    Args:
        source: Zarr store of the version that is read.
        target: Zarr store of a session.
        places: Path of each array in the source, and in the target.
        location: Name of the store that is read, for messages.
        groups: The same for groups that they are in, whose own description is copied.
        moved: Is told of bytes.

    Raises:
        DamagedError: A group, an array or a chunk is missing.
    """
    if places:
        awaited(_copied(source, target, places, groups, location, moved))


async def _copied(
    source: Store,
    target: Store,
    places: Sequence[tuple[str, str]],
    groups: Sequence[tuple[str, str]],
    location: str,
    moved: Moved,
) -> None:
    keys = [(f"{path}/{_METADATA}", f"{new_path}/{_METADATA}") for path, new_path in groups]
    there = await _keys_of_arrays(source, [path for path, _ in places], location)
    for path, new_path in places:
        if f"{path}/{_METADATA}" not in there.get(path, ()):
            raise DamagedError(f"The array {location}/{path} is missing.", hint=_hint(location))
        keys += [(key, new_path + key.removeprefix(path)) for key in there[path]]
    keys.sort(key=lambda pair: not pair[0].endswith(_METADATA))  # a chunk needs its array
    metadata = sum(key.endswith(_METADATA) for key, _ in keys)
    for first, last, at_once in ((0, metadata, 1), (metadata, len(keys), _AT_ONCE)):
        waiting = iter(keys[first:last])
        await asyncio.gather(*(_worker(source, target, waiting, location, moved) for _ in range(at_once)))


async def _keys_of_arrays(source: Store, paths: Sequence[str], location: str) -> dict[str, list[str]]:
    """Keys of description and chunks of each array, in one listing of what the arrays lie in together."""
    common = posixpath.commonpath(paths)
    found: dict[str, list[str]] = {}
    with translated_errors(location, "read"):
        async for key in source.list_prefix(f"{common}/"):
            array = key.removesuffix(f"/{_METADATA}") if key.endswith(_METADATA) else key.rpartition("/c/")[0]
            found.setdefault(array, []).append(key)
    return found


async def _worker(
    source: Store, target: Store, waiting: Iterable[tuple[str, str]], location: str, moved: Moved
) -> None:
    for key, new_key in waiting:
        with translated_errors(f"{location}/{key}", "read"):
            chunk = await source.get(key, _PROTOTYPE)
        if chunk is None:
            raise DamagedError(f"{location}/{key} is missing.", hint=_hint(location))
        await target.set(new_key, chunk)
        moved(len(chunk))


def _hint(location: str) -> str:
    return f"See what else is damaged: goodctl datastore verify {location}"
