"""Which stores are searched together, and whether they fit each other."""

from __future__ import annotations

import glob
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from goodctl.datastore.beside import folder_of
from goodctl.datastore.codes import CodecInfo, fingerprint, read_codec
from goodctl.datastore.reference import split_reference
from goodctl.datastore.repository import is_store
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError, IncompatibleError, NotFoundError
from goodctl.index.cache import Cache, Sink
from goodctl.index.segment import Segment


def cache_of(store: Datastore) -> Cache:
    """The cache that belongs to a store: beside it, or in the user's folder where that cannot be written."""
    return Cache(folder_of(store.repository), check=store.checked)


def trained_codec(store: Datastore, name: str) -> npt.NDArray[np.uint8]:
    """The bytes of a codec, mapped from a flat file, their hash checked.

    Reading them from the repository would leave several copies in memory.

    Raises:
        DamagedError: The store has other bytes than were written.
    """

    def copy(file: Sink) -> dict[str, int]:
        trained = read_codec(store.root, name, store.location)
        file.write(trained.data)
        return {"bytes": len(trained)}

    path, _ = cache_of(store).file(f"codec-{name}", copy, 0)
    trained = np.memmap(path, np.uint8, mode="c")
    if fingerprint(trained) != name:  # the file has changed unseen: the store has the bytes
        return read_codec(store.root, name, store.location)
    return trained


def expand(references: Sequence[str]) -> list[str]:
    """Stores that references and globs name, in order, each glob's matches sorted.

    Raises:
        NotFoundError: A glob matches no store.
    """
    found: list[str] = []
    for reference in references:
        location, version = split_reference(reference)
        if not glob.has_magic(location) or is_store(location):
            found.append(reference)
            continue
        matches = sorted(path for path in glob.glob(location) if is_store(path))  # noqa: PTH207 - absolute ones too
        if not matches:
            raise NotFoundError(f"{reference} matches no datastore.", hint=f"List what is there: ls -d {location}")
        found += [path if version is None else f"{path}@{version}" for path in matches]
    return found


def check_same_keys(first: Datastore, other: Datastore) -> None:
    """Check that two stores' keys can be compared.

    Raises:
        IncompatibleError: Model, key layer or dimension differ.
    """
    if found := first.header.difference(other.header, "model", "key_layer", "dimension", "key_dtype"):
        raise IncompatibleError(
            f"{first.location} and {other.location} cannot be searched together: their {found[0]} differs.",
            hint="Compare them: goodctl datastore inspect STORE",
        )


def check_known(segments: Sequence[Segment], coded: Sequence[bool], infos: dict[str, CodecInfo]) -> None:
    """Check that the codec of each segment that is searched by its codes is there.

    Raises:
        DamagedError: One is missing.
    """
    for segment, by_codes in zip(segments, coded, strict=True):
        if by_codes and segment.info.codes and segment.info.codes.codec not in infos:
            raise DamagedError(
                f"{segment.store.location}: the codec {segment.info.codes.codec[:8]} of segment {segment.info.id[:8]} "
                "is missing.",
                hint=f"Make codec and codes anew: goodctl datastore index {segment.store.location}",
            )


def check_dimension(store: Datastore, info: CodecInfo) -> None:
    """Check that a codec is for keys like the store's.

    Raises:
        IncompatibleError: It is for another dimension.
    """
    if info.dimension != store.header.dimension:
        raise IncompatibleError(
            f"Codec {info.id[:8]} of {store.location} is for {info.dimension} dimensions; the keys have "
            f"{store.header.dimension}.",
            hint=f"Make codec and codes anew: goodctl datastore index {store.location}",
        )
