"""What a store holds near a prompt: the rows, where they came from, and which next tokens they speak for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from goodctl.errors import InputError, UsageError
from goodctl.index.fidelities import HIGH
from goodctl.index.locate import Locator, Origin
from goodctl.index.search import Searcher
from goodctl.models.device import choose_device
from goodctl.models.key_layer import capture, find_key_layer
from goodctl.models.load import LoadedModel
from goodctl.progress import Progress, Report, silent
from goodctl.workflows.model_choice import ModelChoice, check_same_model, identify, store_model

CONTEXT_TOKENS = 24


@dataclass(frozen=True)
class Neighbor:
    """One row near the prompt.

    Attributes:
        rank: From 1, the nearest.
        distance: Squared L2.
        token: Text of its next token.
        token_id: Id of it.
        language: Of its segment.
        label: Of its segment, or None.
        store: Where it is.
        source: File or dataset.
        line: Line or record in the source.
        row: Row number in the search.
        before: Text before the token that does not match the prompt's end.
        match: Text before the token that is, token by token, how the prompt ends.
        match_tokens: How many tokens that are.
    """

    rank: int
    distance: float
    token: str
    token_id: int
    language: str
    label: str | None
    store: str
    source: str
    line: int
    row: int
    before: str
    match: str
    match_tokens: int


@dataclass(frozen=True)
class Prediction:
    """A next token that neighbours speak for.

    Attributes:
        token: Its text.
        token_id: Its id.
        share: Of the neighbours' weight.
        neighbors: How many of them have it.
    """

    token: str
    token_id: int
    share: float
    neighbors: int


@dataclass(frozen=True)
class NeighborReport:
    """What was found.

    Attributes:
        stores: As they were named.
        text: The prompt.
        tokens: How many tokens it has.
        k: Neighbours found.
        fidelity: Of the search.
        temperature: Of the shares.
        predictions: Next tokens, the heaviest first.
        neighbors: The nearest first.
    """

    stores: tuple[str, ...]
    text: str
    tokens: int
    k: int
    fidelity: str
    temperature: float
    predictions: tuple[Prediction, ...]
    neighbors: tuple[Neighbor, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def neighbors(
    stores: Sequence[str],
    text: str,
    k: int = 8,
    model: ModelChoice | None = None,
    *,
    fidelity: str = HIGH,
    temperature: float | None = None,
    check: bool = False,
    report: Report = silent,
) -> NeighborReport:
    """Find the rows nearest to where a prompt ends.

    Args:
        stores: ``STORE``, ``STORE@REF`` or globs.
        text: The prompt; the store's model reads it as it reads a document.
        k: How many rows.
        model: How to run the model; without a name, the one that the store was made with.
        fidelity: ``exact``, ``high`` or ``fast``.
        temperature: Of the next tokens' shares; None takes the spread of the distances found.
        check: Compare all that is read with its recorded hash.
        report: Gets progress.

    Raises:
        InputError: The prompt has no token.
        IncompatibleError: Another model than the store's.
        NotFoundError: There is no such store.
        DamagedError: What was checked is not what was written.
    """
    if k < 1:
        raise UsageError(f"-k {k}: it must be at least 1.", hint="Leave it out for 8.")
    if temperature is not None and not 0 < temperature < math.inf:
        raise UsageError(f"--temperature {temperature}: it must be above 0.", hint="Leave it out for auto.")
    model = model or ModelChoice()
    searcher = Searcher.open(stores, fidelity=fidelity, device=choose_device(model.device), check=check)
    header = searcher.header
    identity = identify(store_model(header, model), report)
    check_same_model(header, identity, searcher.stores[0].location)
    loaded = identity.load(report)
    tokens = _tokens(loaded, text, header.window)
    query = _query(loaded, header.key_layer, tokens)
    report(Progress(stage="searching"))
    found = searcher.search(query, k)
    report(Progress(stage="searching", finished=True))
    distances, values = found.distances[0], found.values[0]
    spread = float(distances[-1] - distances[0]) or 1.0
    locator = Locator(searcher)
    return NeighborReport(
        stores=tuple(store.location for store in searcher.stores),
        text=text,
        tokens=len(tokens),
        k=len(values),
        fidelity=fidelity,
        temperature=temperature or spread,
        predictions=_predictions(loaded, distances, values, temperature or spread),
        neighbors=tuple(
            _described(loaded, tokens, rank, float(distance), int(value), locator.origin(int(row), CONTEXT_TOKENS))
            for rank, (distance, value, row) in enumerate(zip(distances, values, found.rows[0], strict=True), 1)
        ),
    )


def _tokens(model: LoadedModel, text: str, window: int) -> npt.NDArray[np.int64]:
    """The prompt's last tokens, as many as the keys were made with at most."""
    ids = model.tokenizer([text], add_special_tokens=True, return_attention_mask=False, verbose=False)["input_ids"][0]
    if not ids:
        raise InputError("The text has no token: there is nothing to look for.", hint="Give some words.")
    bos = model.tokenizer.bos_token_id
    if len(ids) > window:
        ids = [ids[0], *ids[1 - window :]] if bos is not None and ids[0] == bos else ids[-window:]
    return np.asarray(ids, dtype=np.int64)


def _query(model: LoadedModel, key_layer: str, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The hidden state (1, D) that predicts what follows the prompt."""
    layer = find_key_layer(model.model, key_layer)
    input_ids = torch.from_numpy(tokens)[None].to(model.device)  # (1, T)
    hidden = capture(model.model, layer, input_ids, None)  # (1, T, D)
    return np.asarray(hidden[:, -1].float().cpu().numpy())


def _predictions(
    model: LoadedModel, distances: npt.NDArray[np.float32], values: npt.NDArray[np.int32], temperature: float
) -> tuple[Prediction, ...]:
    weights = np.exp(-(distances.astype(np.float64) - distances[0]) / temperature)
    ids, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights) / weights.sum()
    order = np.lexsort((ids, -shares))
    return tuple(
        Prediction(_text(model, [int(ids[each])]), int(ids[each]), float(shares[each]), int(counts[each]))
        for each in order
    )


def _described(
    model: LoadedModel, prompt: npt.NDArray[np.int64], rank: int, distance: float, value: int, origin: Origin
) -> Neighbor:
    same = 0
    for mine, theirs in zip(prompt[::-1].tolist(), origin.before[::-1].tolist(), strict=False):
        if mine != theirs:
            break
        same += 1
    before = origin.before.tolist()
    cut = len(before) - same
    return Neighbor(
        rank=rank,
        distance=distance,
        token=_text(model, [value]),
        token_id=value,
        language=origin.language,
        label=origin.label,
        store=origin.store,
        source=origin.source,
        line=origin.line,
        row=origin.row,
        before=_text(model, before[:cut]),
        match=_text(model, before[cut:]),
        match_tokens=same,
    )


def _text(model: LoadedModel, ids: list[int]) -> str:
    return str(model.tokenizer.decode(ids)) if ids else ""
