"""Searching one or several stores: exact, approximate, or both, as one list of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from goodctl.datastore.codes import CodecInfo, codec_infos
from goodctl.datastore.format import KEYS, Header
from goodctl.datastore.store import Datastore
from goodctl.errors import DamagedError, IncompatibleError, InputError, UsageError
from goodctl.index import exact
from goodctl.index.codec import Codec
from goodctl.index.exact import Place
from goodctl.index.fidelities import HIGH
from goodctl.index.library import library
from goodctl.index.neighbors import NOTHING, Found, Neighbors, merged
from goodctl.index.plan import Settings, check_budget, check_fidelity, settings_of, uses_codes
from goodctl.index.rerank import reranked
from goodctl.index.segment import Segment, first_rows, segments_of
from goodctl.index.stack import Stack
from goodctl.index.stores import cache_of, check_dimension, check_known, check_same_keys, expand, trained_codec

FINE_ERROR = 0.005
"""Reconstruction error below which a codec's distances are wrong by less than neighbours differ; SQ8 has 0.0001."""
FINE_MARGIN = 1.25
"""How many times k candidates of several such codecs are compared by their exact distances."""


@dataclass
class Searcher:
    """Open stores, ready to be searched as one. Use ``open`` or ``of``; not for two threads at once.

    Row numbers run through all stores in the order in which they are given.

    Attributes:
        stores: Open versions.
        fidelity: ``exact``, ``high`` or ``fast``.
        device: Where exact search and nothing else runs.
        segments: Of all stores, those with rows.
        settings: What each codec is searched with, by fingerprint; may be changed between searches.
    """

    stores: tuple[Datastore, ...]
    fidelity: str
    device: torch.device
    segments: list[Segment]
    coded: list[bool]
    codecs: dict[str, Codec]
    settings: dict[str, Settings]
    first_rows: list[int] = field(default_factory=list)
    _on_device: bool = True
    _values: npt.NDArray[np.int32] | None = None
    _places: list[Place] | None = None
    _all_places: list[Place] | None = None
    _stacks: dict[str, Stack] = field(default_factory=dict)
    _assembled: dict[tuple[str, str], Any] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        references: Sequence[str],
        *,
        fidelity: str = HIGH,
        device: torch.device | None = None,
        memory_budget_bytes: int | None = None,
        check: bool = False,
    ) -> Searcher:
        """Open stores to be searched as one.

        Args:
            references: ``STORE``, ``STORE@REF`` or globs of stores, at least one.
            fidelity: ``exact`` compares all keys; ``high`` and ``fast`` use codes where a segment has them, with the
                settings that were tuned for its codec.
            device: Where exact search runs; by default the CPU.
            memory_budget_bytes: Bound for what is searched, or None.
            check: Compare all that is read with its recorded hash: a changed byte is an error, never other rows.

        Raises:
            NotFoundError: No such store or version.
            IncompatibleError: The stores' keys are not of the same model and layer.
            DamagedError: A codec's bytes are not those that were written.
            UsageError: Unknown fidelity, or the budget is too small.
            MissingDependency: Codes are to be searched, and faiss is not installed.
        """
        return cls.of(
            [Datastore.open(reference, check=check) for reference in expand(references)],
            fidelity=fidelity,
            device=device,
            memory_budget_bytes=memory_budget_bytes,
        )

    @classmethod
    def of(
        cls,
        stores: Sequence[Datastore],
        *,
        fidelity: str = HIGH,
        device: torch.device | None = None,
        memory_budget_bytes: int | None = None,
    ) -> Searcher:
        """The same for stores that are open already."""
        check_fidelity(fidelity)
        if not stores:
            raise UsageError("No datastore is named.", hint="Name one: goodctl datastore recall STORE")
        device = device or torch.device("cpu")
        for store in stores[1:]:
            check_same_keys(stores[0], store)
        segments = [segment for store in stores for segment in segments_of(store, cache_of(store))]
        coded = uses_codes(segments, fidelity, device)
        infos: dict[str, CodecInfo] = {}
        for store in stores:
            infos = codec_infos(store.root, store.location) | infos
        check_known(segments, coded, infos)
        check_budget(segments, coded, infos, memory_budget_bytes)
        codecs: dict[str, Codec] = {}
        for segment, by_codes in zip(segments, coded, strict=True):
            name = segment.info.codes.codec if segment.info.codes else ""
            if by_codes and name not in codecs:
                store = segment.store
                codecs[name] = Codec.load(infos[name], trained_codec(store, name))
                check_dimension(store, infos[name])
        settings = {name: settings_of(codec.info, codec.lists, fidelity) for name, codec in codecs.items()}
        return cls(tuple(stores), fidelity, device, segments, coded, codecs, settings, first_rows(segments))

    @property
    def rows(self) -> int:
        """Rows of all stores."""
        return sum(segment.rows for segment in self.segments)

    @property
    def codec_infos(self) -> dict[str, CodecInfo]:
        """Descriptions of the codecs whose codes are searched."""
        return {name: codec.info for name, codec in self.codecs.items()}

    @property
    def header(self) -> Header:
        """What holds for all stores: model, key layer, dimension."""
        return self.stores[0].header

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """Next-token ids of all rows: (rows,) int32."""
        if self._values is None:
            # Mapped first: only what is there is allocated.
            values = np.concatenate([segment.values() for segment in self.segments])
            self._values = values
        return self._values

    @property
    def searched_by(self) -> str:
        """What is compared with a query: ``keys``, ``codes``, or ``codes and keys`` where segments differ."""
        return " and ".join(name for name, used in (("codes", any(self.coded)), ("keys", not all(self.coded))) if used)

    def leave_device(self) -> bool:
        """Free the memory that keys take on a GPU; from now on they go there block by block. Whether any were there."""
        was_there = self._on_device and self.device.type == "cuda" and not all(self.coded)
        self._on_device, self._places = False, None
        return was_there

    def search(self, queries: npt.NDArray[np.floating], k: int) -> Neighbors:
        """The k nearest rows of each query.

        Args:
            queries: (B, D), finite.
            k: At least 1; where the stores have fewer rows, all of them are found.

        Raises:
            UsageError: k is below 1, or the stores have no rows.
            IncompatibleError: The queries' dimension is not the keys'.
            InputError: A query is NaN or infinite.
        """
        checked = self._checked(queries)
        if k < 1:
            raise UsageError(f"k is {k}: it must be at least 1.", hint="Published work takes 1024.")
        found = self.find(checked, min(k, self.rows), self.settings)
        found = self.completed(checked, found, self.settings)
        return Neighbors(found.distances, found.rows, self.values[found.rows])

    def places(self) -> list[Place]:
        """The flat keys of all segments, mapped."""
        if self._all_places is None:
            numbered = zip(self.segments, self.first_rows, strict=True)
            self._all_places = [Place(segment.keys(), first) for segment, first in numbered]
        return self._all_places

    def _checked(self, queries: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        dimension = self.header.dimension
        if queries.ndim != 2 or queries.shape[1] != dimension:
            raise IncompatibleError(
                f"Queries of shape {queries.shape} do not fit keys of dimension {dimension}.",
                hint=f"Take them from the {self.header.key_layer} of {self.header.model['name']}.",
            )
        checked = np.ascontiguousarray(queries, dtype=np.float32)
        finite = np.isfinite(checked).all(1)
        if not finite.all():
            raise InputError(
                f"Query {int(np.flatnonzero(~finite)[0])} of {len(checked)} holds NaN or infinity.",
                hint="The model gives such hidden states in this precision: try --precision fp32.",
            )
        if not self.rows:
            raise UsageError(
                f"{self.stores[0].location} has no rows to search.",
                hint=f"Add text: goodctl datastore add {self.stores[0].location} TEXT",
            )
        return checked

    def find(self, queries: npt.NDArray[np.float32], k: int, settings: dict[str, Settings], spare: int = 0) -> Found:
        """What certain settings find, and no more: places stay empty where the lists looked at hold too little.

        Args:
            queries: (B, D) float32, finite.
            k: At least 1, at most the rows.
            settings: Of each codec.
            spare: Further neighbours, for who will leave some out; re-ranking stays as deep as k makes it.

        Returns:
            (B, k + spare).
        """
        wanted = k + spare
        finds, fine = [], []
        exact_places = self._exact_places()
        mixed = len(self.codecs) + bool(exact_places) > 1  # distances of one codec mean nothing beside another's
        if exact_places:
            rows = sum(len(place.keys) for place in exact_places)
            found = exact.search(exact_places, queries, min(wanted, rows), self.device)
            # Beside others, computed as theirs are: equal keys have equal distances, and the row number decides.
            finds.append(reranked(self.places(), queries, found, found.rows.shape[1]) if mixed else found)
        for name, codec in self.codecs.items():
            depth = settings[name].rerank
            found = self._search_codes(codec, settings[name].nprobe, queries, k * max(depth, 1) + spare)
            if mixed and not depth and self._worst_error(codec) <= FINE_ERROR:
                fine.append(found)
            elif depth or mixed:
                finds.append(reranked(self.places(), queries, found, wanted))
            else:
                finds.append(found)
        if fine:  # near enough to the truth to choose who is compared, not to compare
            pool = merged(fine, math.ceil(FINE_MARGIN * k) + spare)
            finds.append(reranked(self.places(), queries, pool, wanted))
        return merged(finds, wanted)

    def _worst_error(self, codec: Codec) -> float:
        """Reconstruction error of the codec on the segment that it fits worst."""
        codes = [segment.info.codes for segment in self.segments if segment.info.codes]
        return max(each.error for each in codes if each.codec == codec.info.id)

    def completed(self, queries: npt.NDArray[np.float32], found: Found, settings: dict[str, Settings]) -> Found:
        """What ``find`` found, with more lists for queries whose lists held too few rows; there must be enough."""
        while (short := (found.rows == NOTHING).any(1)).any():
            if all(settings[name].nprobe >= codec.lists for name, codec in self.codecs.items()):
                missing = int((found.rows == NOTHING).sum())
                raise DamagedError(
                    f"{self.stores[0].location}: {missing} neighbours are in none of the lists.",
                    hint=f"Make codec and codes anew: goodctl datastore index {self.stores[0].location}",
                )
            settings = {name: Settings(2 * each.nprobe, each.rerank) for name, each in settings.items()}
            again = self.find(queries[short], found.rows.shape[1], settings)
            found.distances[short], found.rows[short] = again.distances, again.rows
        return found

    def _exact_places(self) -> list[Place]:
        if self._places is None:
            chosen = [
                Place(segment.keys(), first)
                for segment, first, by_codes in zip(self.segments, self.first_rows, self.coded, strict=True)
                if not by_codes
            ]
            if self.device.type == "cuda" and self._on_device and _fits(chosen, self.device):
                chosen = [Place(place.tensor().to(self.device), place.first_row) for place in chosen]
            self._places = chosen
        return self._places

    def _search_codes(self, codec: Codec, nprobe: int, queries: npt.NDArray[np.float32], k: int) -> Found:
        moved = codec.transform(queries)
        mine = [
            (segment, first)
            for segment, first, by_codes in zip(self.segments, self.first_rows, self.coded, strict=True)
            if by_codes and segment.info.codes and segment.info.codes.codec == codec.info.id
        ]
        if codec.lists:
            if codec.info.id not in self._stacks:
                lists = [segment.inverted_lists(codec) for segment, _ in mine]
                self._stacks[codec.info.id] = Stack.of(lists, [first for _, first in mine])
            found = self._stacks[codec.info.id].search(codec, moved, min(nprobe, codec.lists), k)
            return merged([found], k)
        finds = []
        for segment, first in mine:
            distances, rows = self._flat_index(codec, segment).search(moved, min(k, segment.rows))
            finds.append(Found(distances, np.where(rows < 0, NOTHING, rows + first)))
        return merged(finds, k)

    def _flat_index(self, codec: Codec, segment: Segment) -> Any:
        key = (codec.info.id, segment.info.sha256[KEYS])
        if key not in self._assembled:
            faiss = library()
            index = faiss.clone_index(codec.inner)
            codes = segment.codes(codec)
            index.add_sa_codes(np.ascontiguousarray(codes))
            self._assembled[key] = index
        return self._assembled[key]


def _fits(places: Sequence[Place], device: torch.device) -> bool:
    size = sum(place.tensor().nbytes for place in places)
    return size <= 0.8 * torch.cuda.mem_get_info(device)[0]
