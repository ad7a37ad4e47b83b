"""Codecs: a trained, empty faiss index that turns keys into codes, and finds them again from their codes."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from goodctl import __version__
from goodctl.datastore.codes import CodecInfo, fingerprint
from goodctl.errors import DamagedError, UsageError
from goodctl.index.clusters import kmeans, nearest
from goodctl.index.library import built, library, shortened

Keys = npt.NDArray[np.floating]
Codes = npt.NDArray[np.uint8]

BLOCK_ROWS = 16_384
HELD_OUT_ROWS = 4_096
PQ_ROWS = 256
"""A product quantiser of 8 bits needs as many training rows; fewer are repeated."""
PQ_POINTS = 128
"""Training rows for each centre of a product quantiser, at most."""
PQ_ITERATIONS = 12

_TINY = 1e-12
"""In place of the variance where all keys are the same."""

LIST_INDEXES = ("IndexIVFFlat", "IndexIVFScalarQuantizer", "IndexIVFPQ")
_FLAT_QUANTIZERS = ("IndexFlat", "IndexFlatL2")
FLAT_INDEXES = ("IndexFlat", "IndexFlatL2", "IndexScalarQuantizer", "IndexPQ")


@dataclass(frozen=True)
class Errors:
    """How well a codec fits some keys.

    Attributes:
        reconstruction: Share of the keys' variance that decoding does not give back: Σ|x - x̂|² / Σ|x - mean|².
        coarse: The same with the centre of the row's list in place of the decoded key; None without lists.
    """

    reconstruction: float
    coarse: float | None


class Codec:
    """A trained codec. Use ``train``, or ``load`` with bytes whose hash was checked.

    Attributes:
        info: Its description.
        inner: The faiss index behind the transforms; an inverted file, or flat codes.
        lists: Number of inverted lists; 0 where there are none.
    """

    def __init__(self, info: CodecInfo, index: Any) -> None:
        self.info = info
        self._index = index
        self._transforms, self.inner = _unwrapped(index)
        self.lists = int(self.inner.nlist) if hasattr(self.inner, "nlist") else 0
        self._centres: npt.NDArray[np.float32] | None = None

    @classmethod
    def load(cls, info: CodecInfo, trained: Codes) -> Codec:
        """Take a codec from its stored bytes. The caller has compared their hash with the codec's name.

        Raises:
            DamagedError: faiss cannot read them, or what they hold does not fit the description.
        """
        faiss = library()
        try:
            # The tables would take more memory than the codes themselves.
            index = faiss.deserialize_index(trained, faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
        except RuntimeError as error:
            raise DamagedError(
                f"faiss {faiss.__version__} cannot read codec {info.id[:8]}: {shortened(error)}.",
                hint="Upgrade faiss, or make codec and codes anew: goodctl datastore index STORE",
            ) from error
        check_supported(index, info.factory)
        if index.d != info.dimension or index.sa_code_size() != info.code_size or index.ntotal:
            raise DamagedError(
                f"Codec {info.id[:8]} is of {index.d} dimensions, {index.sa_code_size()} bytes a code and "
                f"{index.ntotal} rows; {info.dimension}, {info.code_size} and 0 were recorded.",
                hint="Make codec and codes anew: goodctl datastore index STORE",
            )
        return cls(info, index)

    @property
    def trained(self) -> Codes:
        """(n,) uint8, the serialised trained index; of a codec that was not searched yet, for a search gives it rows.

        Made when it is asked for, since it is large.
        """
        serialised: Codes = library().serialize_index(self._index)
        return serialised

    @property
    def bare_code_size(self) -> int:
        """Bytes of a code without the number of its list."""
        return int(self.inner.code_size)

    @property
    def centres(self) -> npt.NDArray[np.float32]:
        """(lists, D') float32 centres of the lists, behind the transforms."""
        if self._centres is None:
            self._centres = self.inner.quantizer.reconstruct_n(0, self.lists)
        return self._centres

    def transform(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Keys or queries (n, D) as the inner index takes them: (n, D') float32."""
        moved = np.ascontiguousarray(keys, dtype=np.float32)
        for each in self._transforms:
            moved = each.apply(moved)
        return moved

    def encode(self, keys: Keys, device: torch.device) -> Codes:
        """Codes of keys.

        Args:
            keys: (n, D) float16 or float32.
            device: Where the nearest centres are computed.

        Returns:
            (n, code_size) uint8.
        """
        codes = np.empty((len(keys), self.info.code_size), np.uint8)
        for start in range(0, len(keys), BLOCK_ROWS):
            rows = self.transform(keys[start : start + BLOCK_ROWS])
            block = codes[start : start + len(rows)]
            if self.lists:
                self._encode_to_lists(rows, nearest(rows, self.centres, device), block)
            else:
                self.inner.sa_encode(rows, block)
        return codes

    def _encode_to_lists(self, rows: npt.NDArray[np.float32], lists: npt.NDArray[np.int64], codes: Codes) -> None:
        swig = library().swig_ptr
        self.inner.encode_vectors(len(rows), swig(rows), swig(lists), swig(codes), True)

    def decode(self, codes: Codes) -> npt.NDArray[np.float32]:
        """Approximate keys (n, D) float32 of codes."""
        decoded: npt.NDArray[np.float32] = self._index.sa_decode(np.ascontiguousarray(codes))
        return decoded

    def split(self, codes: Codes) -> tuple[npt.NDArray[np.int64], Codes]:
        """Number of the list (n,) int64 and bare code (n, bare_code_size) of each row."""
        width = self.info.code_size - self.bare_code_size
        lists = np.zeros(len(codes), np.int64)
        for byte in range(width):  # faiss writes the number of the list first, its lowest byte first
            lists |= codes[:, byte].astype(np.int64) << (8 * byte)
        return lists, codes[:, width:]

    def errors(self, keys: Keys, device: torch.device) -> Errors:
        """How well the codec fits keys (n, D), n at least 1."""
        lost = coarse = total = total_moved = 0.0
        mean = np.asarray(keys, dtype=np.float32).mean(0)
        mean_moved = self.transform(mean[None])
        for start in range(0, len(keys), BLOCK_ROWS):
            block = np.asarray(keys[start : start + BLOCK_ROWS], dtype=np.float32)
            codes = self.encode(block, device)
            total += _squares(block - mean)
            lost += _squares(block - self.decode(codes))
            if self.lists:
                moved = self.transform(block)
                total_moved += _squares(moved - mean_moved)
                coarse += _squares(moved - self.centres[self.split(codes)[0]])
        return Errors(lost / max(total, _TINY), coarse / max(total_moved, _TINY) if self.lists else None)


def _squares(array: npt.NDArray[np.float32]) -> float:
    return float(np.einsum("nd,nd->", array, array, dtype=np.float64))


def _unwrapped(index: Any) -> tuple[list[Any], Any]:
    """The transforms in front of an index, and the index itself."""
    faiss = library()
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexPreTransform):
        return [], index
    transforms = [faiss.downcast_VectorTransform(index.chain.at(place)) for place in range(index.chain.size())]
    return transforms, faiss.downcast_index(index.index)


def check_supported(index: Any, factory: str) -> None:
    """Check that an index can be put together from stored codes.

    Raises:
        UsageError: faiss crashes on its codes, or has none: graphs, fast-scan and refining indexes; it has no list; or
            a transform in front changes distances or cannot be undone.
    """
    faiss = library()
    transforms, inner = _unwrapped(index)
    name = type(inner).__name__
    if name not in LIST_INDEXES + FLAT_INDEXES or not inner.metric_type == faiss.METRIC_L2:
        raise UsageError(
            f"An index {factory!r} ({name}) cannot be put together from stored codes.",
            hint="Use Flat, SQ or PQ, also behind IVF and behind PCA or OPQ, for example 'OPQ64_256,IVF1024,PQ64'.",
        )
    if name in LIST_INDEXES and inner.nlist < 1:
        raise UsageError(f"An index {factory!r} has no list.", hint="Give it at least one: 'IVF1024,SQ8'.")
    for each in transforms:
        if not isinstance(each, (faiss.LinearTransform, faiss.RemapDimensionsTransform)):
            raise UsageError(
                f"An index {factory!r} changes the distances of the keys ({type(each).__name__}).",
                hint="In front of an index use PCA or OPQ, for example 'OPQ64_256,IVF1024,PQ64'.",
            )


def lists_of(factory: str, dimension: int) -> int:
    """How many inverted lists a factory string asks for; 0 where it asks for none."""
    index = built(factory, dimension)  # held here: what is inside is freed with it
    _, inner = _unwrapped(index)
    return int(inner.nlist) if hasattr(inner, "nlist") else 0


def train(sample: Keys, rows: int, kind: str, factory: str, device: torch.device, *, seed: int = 0) -> Codec:
    """Train a codec.

    Args:
        sample: (n, D) float16 or float32 keys, n at least 1, in random order.
        rows: Rows that the sample was drawn from.
        kind: For the description.
        factory: faiss factory string.
        device: Where the centres of the lists are found.
        seed: Of k-means.

    Returns:
        The codec, with its errors on a tenth of the sample that it was not trained on; of fewer than ten rows, on all.

    Raises:
        UsageError: faiss rejects the factory string, or needs more rows for it.
    """
    index = built(factory, sample.shape[1])
    check_supported(index, factory)
    held_out = min(HELD_OUT_ROWS, len(sample) // 10)
    training = np.asarray(sample[held_out:], dtype=np.float32)
    if len(training) < PQ_ROWS:
        training = np.resize(training, (PQ_ROWS, sample.shape[1])) if "PQ" in factory else training
    transforms, inner = _unwrapped(index)
    try:
        moved = training
        for each in transforms:
            if not each.is_trained:
                _train_transform(each, moved, seed)
            moved = each.apply(moved)
        _train_inner(inner, moved, device, seed)
        index.is_trained = True
    except RuntimeError as error:
        raise UsageError(
            f"faiss cannot train {factory!r} on {len(sample):,} rows: {shortened(error)}.",
            hint="Choose fewer lists or a kind that sizes itself: --index ivf-sq8",
        ) from error
    trained = library().serialize_index(index)
    info = CodecInfo(
        id=fingerprint(trained),
        kind=kind,
        factory=factory,
        dimension=sample.shape[1],
        code_size=int(index.sa_code_size()),
        trained_rows=len(sample) - held_out,
        rows=rows,
        error=0.0,
        coarse_error=None,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        created_by=f"goodctl {__version__}, faiss {library().__version__}",
    )
    codec = Codec(info, index)
    errors = codec.errors(sample[:held_out] if held_out else sample, device)
    codec.info = replace(info, error=errors.reconstruction, coarse_error=errors.coarse)
    return codec


def _train_transform(transform: Any, training: npt.NDArray[np.float32], seed: int) -> None:
    faiss = library()
    if not isinstance(transform, faiss.OPQMatrix):
        transform.train(training)
        return
    quantizer = faiss.ProductQuantizer(transform.d_out, transform.M, 8)  # or it makes one that prints warnings
    quantizer.cp.min_points_per_centroid, quantizer.cp.seed = 1, seed + 1
    transform.pq = quantizer
    try:
        transform.train(training)
    finally:
        transform.pq = None


def _train_inner(inner: Any, training: npt.NDArray[np.float32], device: torch.device, seed: int) -> None:
    faiss = library()
    for parameters in _clustering_parameters(inner):
        parameters.min_points_per_centroid = 1  # or faiss prints a warning of its own
        parameters.seed = seed + 1
    if hasattr(inner, "pq"):
        inner.pq.cp.niter, inner.pq.cp.max_points_per_centroid = PQ_ITERATIONS, PQ_POINTS
    quantizer = faiss.downcast_index(inner.quantizer) if hasattr(inner, "quantizer") else None
    if type(quantizer).__name__ in _FLAT_QUANTIZERS and inner.nlist <= len(training):
        assert quantizer is not None
        quantizer.add(kmeans(training, int(inner.nlist), device, seed))
    inner.train(training)


def _clustering_parameters(inner: Any) -> Iterator[Any]:
    if hasattr(inner, "cp"):
        yield inner.cp
    if hasattr(inner, "pq"):
        yield inner.pq.cp
