"""The methods: what each makes of the base model's logits and of what lies beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import torch

from goodctl.errors import UsageError
from goodctl.steering.draws import narrowed
from goodctl.steering.logits import RULED_OUT, combined, discourage, interpolate, knn_log_probs
from goodctl.steering.neighborhood import Neighborhood
from goodctl.steering.nucleus import Nucleus, accurate, check_share, nucleus
from goodctl.steering.search import Found, Side, as_tensors


@dataclass(frozen=True)
class Inputs:
    """What a model and its companions computed for the next token of some continuations.

    Attributes:
        logits: (B, V) of the base model.
        queries: (B, D) its hidden states at the key layer; None where no method reads them.
        companions: (B, V) logits of each further model.
    """

    logits: torch.Tensor
    queries: torch.Tensor | None = None
    companions: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True)
class Steered:
    """The next token's distribution, over a few tokens.

    Attributes:
        tokens: (B, N) int64 token ids, in the order of their probability under what they were chosen by.
        log_probs: (B, N) float32 log probabilities of the method's distribution, -inf for what is impossible.
        weights: (B, N) float64, what is sampled: those probabilities in the nucleus, 0 outside.
        searched: (B,) bool, for which rows stores were searched; None where the method never does.
        found: Side name to neighbours of the searched rows, in their order.
    """

    tokens: torch.Tensor
    log_probs: torch.Tensor
    weights: torch.Tensor
    searched: torch.Tensor | None = None
    found: dict[str, Found] = field(default_factory=dict)


class Method(Protocol):
    """A way to choose the next token."""

    @property
    def reads_queries(self) -> bool:
        """Whether it needs the hidden states of the key layer."""

    def steer(self, inputs: Inputs, top_p: float) -> Steered:
        """The next token's distribution, sampled from its nucleus of probability ``top_p``."""

    def whole(self, inputs: Inputs) -> torch.Tensor:
        """The same as log weights (B, V) over the whole vocabulary, for who samples in another way."""


@dataclass(frozen=True)
class Base:
    """The model as it is."""

    reads_queries: ClassVar[bool] = False

    def steer(self, inputs: Inputs, top_p: float) -> Steered:
        """The model's own nucleus."""
        return _as_it_is(nucleus(inputs.logits, top_p))

    def whole(self, inputs: Inputs) -> torch.Tensor:
        """The model's log probabilities."""
        return inputs.logits.float().log_softmax(-1)


@dataclass
class Ensemble:
    """Towards one store and away from another: ``logits.ensemble`` over the base model's nucleus.

    Attributes:
        toxic: What is steered away from, or None.
        nontoxic: What is steered towards, or None.
        alpha: Strength.
        filter_p: Probability of the base model's nucleus.
    """

    toxic: Side | None
    nontoxic: Side | None
    alpha: float
    filter_p: float
    reads_queries: ClassVar[bool] = True
    _neighborhood: Neighborhood | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.toxic is None and self.nontoxic is None:
            raise UsageError("No datastore is named.", hint="Name one or both: --toxic STORE --nontoxic STORE")
        check_share(self.filter_p, "--filter-p")
        check_alpha(self.alpha)

    def steer(self, inputs: Inputs, top_p: float) -> Steered:
        """Searches only where the nucleus leaves a choice."""
        assert inputs.queries is not None
        found = nucleus(inputs.logits, self.filter_p)
        base = found.log_probs.masked_fill(~found.kept, -math.inf).log_softmax(-1)
        open_rows = ~found.single if self.alpha else torch.zeros_like(found.single)
        chosen = torch.nonzero(open_rows)[:, 0]
        if not len(chosen):
            return Steered(found.tokens, base, narrowed(base, top_p), open_rows)
        queries, tokens = inputs.queries[chosen], found.tokens[chosen]
        vocabulary = inputs.logits.shape[-1]
        sides: dict[str, torch.Tensor] = {}
        neighbors: dict[str, Found] = {}
        for side in (self.toxic, self.nontoxic):
            if side is not None:
                neighbors[side.name] = side.neighbors(queries)
                sides[side.name] = self._at(vocabulary, side, neighbors[side.name], tokens)
        toxic, nontoxic = (sides[side.name] if side else None for side in (self.toxic, self.nontoxic))
        steered = combined(found.log_probs[chosen], found.kept[chosen], toxic, nontoxic, self.alpha)
        log_probs = base.index_copy(0, chosen, steered)
        return Steered(found.tokens, log_probs, narrowed(log_probs, top_p), open_rows, neighbors)

    def _at(self, vocabulary: int, side: Side, found: Found, tokens: torch.Tensor) -> torch.Tensor:
        """The side's log probabilities (B, N) at some tokens."""
        if self._neighborhood is None or self._neighborhood.vocab_size != vocabulary:
            self._neighborhood = Neighborhood(vocabulary)
        distances, values = as_tensors(found, tokens.device)
        return self._neighborhood.log_probs(distances, values, side.temperature, tokens)

    def whole(self, inputs: Inputs) -> torch.Tensor:
        """The ensemble's log probabilities, -inf outside of the base model's nucleus."""
        return _spread(self.steer(inputs, 1.0), inputs.logits)


@dataclass(frozen=True)
class KnnLm:
    """Between the model and the neighbours: ``logits.interpolate``, or away from them: ``logits.discourage``.

    Attributes:
        store: What is searched.
        lam: Share of the neighbours.
        away: Whether to discourage.
    """

    store: Side
    lam: float
    away: bool = False
    reads_queries: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_lam(self.lam, away=self.away)

    def steer(self, inputs: Inputs, top_p: float) -> Steered:
        """The nucleus of the mixture."""
        searched = torch.ones(len(inputs.logits), dtype=torch.bool, device=inputs.logits.device)
        mixed, found = self._mixed(inputs)
        steered = _as_it_is(nucleus(mixed, top_p))
        return replace(steered, searched=searched, found={self.store.name: found})

    def whole(self, inputs: Inputs) -> torch.Tensor:
        """The mixture's log weights."""
        return self._mixed(inputs)[0]

    def _mixed(self, inputs: Inputs) -> tuple[torch.Tensor, Found]:
        assert inputs.queries is not None
        found = self.store.neighbors(inputs.queries)
        distances, values = as_tensors(found, inputs.logits.device)
        neighbors = knn_log_probs(distances, values, inputs.logits.shape[-1], self.store.temperature)
        return (discourage if self.away else interpolate)(inputs.logits, neighbors, self.lam), found


@dataclass(frozen=True)
class DExperts:
    """Towards an expert model and away from an antiexpert (arXiv 2105.03023), over the base model's nucleus.

    Attributes:
        sides: Of the companions in their order: ``expert``, ``antiexpert``.
        alpha: Strength.
        filter_p: Probability of the base model's nucleus.
    """

    sides: Sequence[str]
    alpha: float
    filter_p: float
    reads_queries: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_share(self.filter_p, "--filter-p")
        check_alpha(self.alpha)

    def steer(self, inputs: Inputs, top_p: float) -> Steered:
        """The ensemble of the models' logits at the nucleus."""
        found = nucleus(inputs.logits, self.filter_p)
        # A token that a companion rules out: as good as impossible, and still a number that can be subtracted.
        finite = (each.float().gather(-1, found.tokens).clamp(min=RULED_OUT) for each in inputs.companions)
        at = dict(zip(self.sides, finite, strict=True))
        steered = combined(found.log_probs, found.kept, at.get("antiexpert"), at.get("expert"), self.alpha)
        return Steered(found.tokens, steered, narrowed(steered, top_p))

    def whole(self, inputs: Inputs) -> torch.Tensor:
        """The ensemble's log probabilities, -inf outside of the base model's nucleus."""
        return _spread(self.steer(inputs, 1.0), inputs.logits)


def check_alpha(alpha: float) -> None:
    """Check a strength.

    Raises:
        UsageError: It is NaN or infinite.
    """
    if not math.isfinite(alpha):
        raise UsageError(f"--alpha {alpha}: it must be a finite number.", hint="Leave it out for 1.0.")


def check_lam(lam: float, *, away: bool = False) -> None:
    """Check a share of the neighbours.

    Raises:
        UsageError: It is below 0; above 1, where it is a share and not a strength.
    """
    if not 0 <= lam <= (math.inf if away else 1) or not math.isfinite(lam):
        bound = "at least 0" if away else "from 0 to 1"
        raise UsageError(f"--lam {lam}: it must be {bound}.", hint="Leave it out for 0.25.")


def _as_it_is(found: Nucleus) -> Steered:
    """A nucleus that is sampled as a whole."""
    log_probs = found.log_probs.masked_fill(~found.kept, -math.inf)
    return Steered(found.tokens, log_probs, accurate(log_probs).exp())


def _spread(steered: Steered, logits: torch.Tensor) -> torch.Tensor:
    """Log weights over the whole vocabulary (B, V), -inf where there are none."""
    row, column = torch.nonzero(steered.log_probs > -math.inf, as_tuple=True)
    spread = torch.full(logits.shape, -math.inf, device=logits.device)
    spread[row, steered.tokens[row, column]] = steered.log_probs[row, column]
    return spread
