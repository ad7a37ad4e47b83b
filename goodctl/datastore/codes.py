"""Codes of search indexes in a store: the trained codecs, and the rows of each part as a codec encodes them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from goodctl.datastore.content import array_sha256
from goodctl.datastore.format import chunk_rows
from goodctl.datastore.parts import CODECS, StoredPart
from goodctl.datastore.repository import damaged_metadata, translated_errors
from goodctl.errors import DamagedError

CODES = "codes"
TRAINED = "trained"
LARGEST_CODEC_BYTES = 4 * 2**30
"""A trained codec is some megabytes; a stored size beyond this is damage, and nothing is allocated for it."""


@dataclass(frozen=True)
class CodecInfo:
    """Description of a trained codec, kept in its group's attributes.

    Attributes:
        id: Its fingerprint: SHA-256 of the trained, empty faiss index, in hexadecimal.
        kind: ``ivf-sq8``, ``ivf-pq``, or ``factory`` for a faiss factory string of the user's own.
        factory: The faiss factory string that was trained.
        dimension: D of the keys it encodes.
        code_size: Bytes of one row's code.
        trained_rows: Rows that it was trained on.
        rows: Rows out of which these were drawn.
        error: Reconstruction error: the share of the keys' variance that decoding does not give back, on rows that it
            was not trained on where there were enough.
        coarse_error: The same for the centre of a row's inverted list in place of its decoded key; None without lists.
        settings: Fidelity (``high``, ``fast``) to the search settings that were found for it, and what was measured.
        created_at: ISO 8601, UTC.
        created_by: Program and faiss version.
    """

    id: str
    kind: str
    factory: str
    dimension: int
    code_size: int
    trained_rows: int
    rows: int
    error: float
    coarse_error: float | None
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    created_at: str = ""
    created_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The codec group's attributes."""
        attributes = asdict(self)
        del attributes["id"]
        return attributes

    @classmethod
    def from_dict(cls, name: str, attributes: dict[str, Any], where: str) -> CodecInfo:
        """Read a codec group's attributes.

        Raises:
            DamagedError: An attribute is missing.
        """
        try:
            info = cls(id=name, **{key: attributes[key] for key in cls.__dataclass_fields__ if key != "id"})
            numbers = (info.dimension, info.code_size, info.trained_rows, info.rows, info.error, info.coarse_error or 0)
            if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
                raise ValueError(f"{numbers} are no counts and errors")
            for settings in info.settings.values():
                if not all(isinstance(settings[key], int) for key in ("nprobe", "rerank")):
                    raise ValueError(f"{settings} are no settings")
                if not all(isinstance(settings[key], int | float) for key in ("tv", "recall")):
                    raise ValueError(f"{settings} are no figures")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(
                f"{where}: codec {name[:8]} has an unreadable description ({error}).", hint=_retrain(where)
            ) from error
        return info


def fingerprint(trained: npt.NDArray[np.uint8]) -> str:
    """What names a codec: SHA-256 of its trained, empty index."""
    return hashlib.sha256(np.ascontiguousarray(trained).data).hexdigest()


def write_codec(root: zarr.Group, info: CodecInfo, trained: npt.NDArray[np.uint8]) -> None:
    """Write a trained codec in place of what the version has under its name.

    Args:
        root: Root group of a session.
        info: Its description; ``info.id`` must be the fingerprint of ``trained``.
        trained: (n,) uint8, the serialised trained index without rows.
    """
    codecs = root.require_group(CODECS)
    if info.id in codecs:  # the same bytes, unless they are damaged
        del codecs[info.id]
    group = codecs.create_group(info.id, attributes=info.to_dict())
    stored = group.create_array(
        TRAINED, shape=trained.shape, chunks=(chunk_rows(len(trained), 1),), dtype=np.uint8, compressors=None
    )
    stored[:] = trained


def describe_codec(root: zarr.Group, info: CodecInfo) -> None:
    """Change the description of a codec that this session has written."""
    codecs = root.require_group(CODECS)
    codecs.require_group(info.id).attrs.update(info.to_dict())


def delete_codec(root: zarr.Group, name: str) -> None:
    """Remove a codec from the version that a session writes."""
    del root.require_group(CODECS)[name]


def codec_infos(root: zarr.Group, location: str) -> dict[str, CodecInfo]:
    """The codecs of a version whose description can be read, by fingerprint.

    One that cannot is as good as missing: exact search and making the index anew need none.
    """
    found: dict[str, CodecInfo] = {}
    with damaged_metadata(location):
        codecs = root.get(CODECS)
        groups = _groups(codecs) if isinstance(codecs, zarr.Group) else {}
    for name, group in groups.items():
        with contextlib.suppress(DamagedError):
            found[name] = CodecInfo.from_dict(name, dict(group.attrs), location)
    return found


def codec_names(root: zarr.Group) -> list[str]:
    """The codecs of a version, described or not."""
    codecs = root.get(CODECS)
    return list(_groups(codecs)) if isinstance(codecs, zarr.Group) else []


def _groups(parent: zarr.Group) -> dict[str, zarr.Group]:
    return {path.rpartition("/")[2]: group for path, group in parent.groups()}


def read_codec(root: zarr.Group, name: str, location: str) -> npt.NDArray[np.uint8]:
    """The trained, empty index of a codec: (n,) uint8, its hash checked.

    Nothing may deserialise these bytes before this check.

    Raises:
        DamagedError: It is not there, or its bytes are not those that were written.
    """
    where = f"{location}/{CODECS}/{name}/{TRAINED}"
    with translated_errors(where, "read"):
        with damaged_metadata(location):
            array = root.get(f"{CODECS}/{name}/{TRAINED}")
        if not isinstance(array, zarr.Array) or array.dtype != np.uint8 or array.ndim != 1:
            raise DamagedError(f"The trained codec {where} is missing or no byte array.", hint=_retrain(location))
        if array.nbytes > LARGEST_CODEC_BYTES:
            raise DamagedError(f"The trained codec {where} claims {array.nbytes:,} bytes.", hint=_retrain(location))
        try:
            trained = np.asarray(array[:], dtype=np.uint8)
        except (ValueError, RuntimeError, TypeError) as error:
            raise DamagedError(f"{where} cannot be decoded: {error}.", hint=_retrain(location)) from error
    if (found := fingerprint(trained)) != name:
        raise DamagedError(
            f"The trained codec {where} has SHA-256 {found[:16]}…, not {name[:16]}…: it is not loaded.",
            hint=_retrain(location),
        )
    return trained


def write_codes(part: zarr.Group, codec: str, codes: npt.NDArray[np.uint8]) -> None:
    """Write one part's rows as a codec encodes them.

    Args:
        part: Group of the part, in a session.
        codec: Fingerprint of the codec.
        codes: (n, code_size) uint8, one code for each row of the part.
    """
    array = part.create_array(
        f"{CODES}/{codec}",
        shape=codes.shape,
        chunks=(chunk_rows(len(codes), codes.shape[1]), codes.shape[1]),
        dtype=np.uint8,
        compressors=None,
        attributes={"sha256": array_sha256(codes)},
    )
    array[:] = codes


def delete_codes(part: zarr.Group, keep: Sequence[str] = ()) -> None:
    """Remove a part's codes from the version that a session writes, but those of the codecs to ``keep``."""
    codes = part.get(CODES)
    if not isinstance(codes, zarr.Group):
        return
    for name in list(codes.array_keys()):
        if name not in keep:
            del codes[name]


def read_codes(part: StoredPart, codec: CodecInfo) -> npt.NDArray[np.uint8]:
    """One part's codes: (n, code_size) uint8, shape and hash checked.

    Raises:
        DamagedError: They are missing, of another shape or type than the codec gives, or other bytes than were written.
    """
    where = f"{part.location}{part.group.name}/{CODES}/{codec.id}"
    hint = _retrain(part.location)
    with translated_errors(where, "read"):
        with damaged_metadata(part.location):
            array = part.group.get(f"{CODES}/{codec.id}")
        if not isinstance(array, zarr.Array):
            raise DamagedError(f"The codes {where} are missing.", hint=hint)
        if array.dtype != np.uint8 or array.shape != (part.rows, codec.code_size):
            raise DamagedError(
                f"The codes {where} are {array.dtype} {array.shape}, not uint8 {(part.rows, codec.code_size)}.",
                hint=hint,
            )
        try:
            codes = np.asarray(array[:], dtype=np.uint8)
        except (ValueError, RuntimeError, TypeError) as error:
            raise DamagedError(f"{where} cannot be decoded: {error}.", hint=hint) from error
        expected = array.attrs.get("sha256")
    if array_sha256(codes) != expected:
        raise DamagedError(f"The codes {where} are not the bytes that were written.", hint=hint)
    return codes


def _retrain(location: str) -> str:
    return f"Make codec and codes anew from the keys: goodctl datastore index {location}"
