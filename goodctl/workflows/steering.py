"""A method with all that it needs: open stores, a temperature, loaded models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from goodctl.datastore.format import Header
from goodctl.errors import IncompatibleError, UsageError
from goodctl.index.calibrate import auto_temperature, distances_of, spread_at
from goodctl.index.search import Searcher
from goodctl.index.stores import check_same_keys
from goodctl.models.device import choose_device
from goodctl.models.endings import stated_ends
from goodctl.models.key_layer import KeyLayer, find_key_layer
from goodctl.models.load import LoadedModel
from goodctl.progress import Progress, Report, silent
from goodctl.steering.methods import Base, DExperts, Ensemble, KnnLm, Method
from goodctl.steering.names import BASE, DEXPERTS, DISCOURAGE, KNN_LM
from goodctl.steering.search import Side
from goodctl.workflows.model_choice import Identity, ModelChoice, check_same_model, identify
from goodctl.workflows.steering_choice import SteeringChoice, published

ENSEMBLE_SHARE = 1.0
"""Temperature of an ensemble, in spreads from the first to the k-th distance (docs/explanation/temperature.md)."""
MIXTURE_SHARE = 0.1
"""The same of kNN-LM, whose neighbours must predict the next token and not only tell two kinds of text apart."""


@dataclass(frozen=True)
class Steering:
    """What steers, before any weights are loaded.

    Attributes:
        choice: With the temperature that holds.
        identity: The base model.
        searchers: Side name to its open stores.
        experts: Side name to its model.
        measured: Side name to the spread of its distances, where the temperature comes from them.
    """

    choice: SteeringChoice
    identity: Identity
    searchers: Mapping[str, Searcher]
    experts: Mapping[str, Identity]
    measured: Mapping[str, float]

    def describe(self) -> dict[str, Any]:
        """What decides the text, for a manifest: model, stores and their versions, settings."""
        return {
            "model": _described(self.identity),
            **{
                name: [
                    {"store": store.location, "snapshot": store.version.id, "rows": store.rows}
                    for store in searcher.stores
                ]
                for name, searcher in self.searchers.items()
            },
            "searched_by": {name: searcher.searched_by for name, searcher in self.searchers.items()},
            **{name: _described(identity) for name, identity in self.experts.items()},
            **self.choice.settings(),
        }

    def at(self, settings: Mapping[str, Any]) -> Steering:
        """The same at the temperature of a manifest's settings, if it has one."""
        temperature = settings.get("temperature")
        return self if temperature is None else replace(self, choice=replace(self.choice, temperature=temperature))

    def load(self, report: Report = silent) -> Loaded:
        """Load the models.

        Raises:
            IncompatibleError: An expert has another vocabulary than the base model.
        """
        model = self.identity.load(report)
        experts = {name: identity.load(report) for name, identity in self.experts.items()}
        for name, expert in experts.items():
            _check_same_tokens(name, expert, model)
        layer = None
        if self.searchers:
            header = next(iter(self.searchers.values())).header
            layer = find_key_layer(model.model, header.key_layer)
            where = next(iter(self.searchers.values())).stores[0].location
            check_fits(header, layer, model.vocabulary, model.name, where)
        return Loaded(model, self.method(), layer, tuple(experts.values()))

    def leave_device(self) -> bool:
        """Free what the stores' keys take of a GPU's memory; whether there was anything to free."""
        left = [searcher.leave_device() for searcher in self.searchers.values()]  # all of them, not up to the first
        return any(left)

    def method(self) -> Method:
        """The method over the open stores."""
        return method_of(self.choice, self.searchers)


@dataclass(frozen=True)
class Loaded:
    """What a decoder needs.

    Attributes:
        model: The base model.
        method: What steers it.
        key_layer: Where its hidden states are read, where stores are searched.
        companions: Experts, in the method's order.
    """

    model: LoadedModel
    method: Method
    key_layer: KeyLayer | None
    companions: tuple[LoadedModel, ...]


def prepare(choice: SteeringChoice, model: ModelChoice, *, check: bool = False, report: Report = silent) -> Steering:
    """Open the stores, check that they are the model's, and settle the temperature.

    Args:
        choice: What steers.
        model: The base model; without a name, the one that the first store was made with.
        check: Compare all that is read with its recorded hash.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such store, version or model.
        IncompatibleError: A store is of another model, vocabulary or key layer.
        UsageError: A store has no rows, or no model is named.
    """
    report(Progress(stage="opening the stores")) if choice.stores() else None
    searchers = open_stores(choice, choose_device(model.device), check=check)
    identity = identify(_base(model, next(iter(searchers.values()), None)), report)
    for searcher in searchers.values():
        for store in searcher.stores:
            check_same_model(store.header, identity, store.location)
    experts = {name: identify(replace(model, model=path, revision=None)) for name, path in choice.experts().items()}
    report(Progress(stage="opening the stores", finished=True)) if choice.stores() else None
    languages = [segment.info.language for each in searchers.values() for segment in each.segments]
    settled, measured = with_temperature(published(choice, languages), searchers, report)
    return Steering(settled, identity, searchers, experts, measured)


def open_stores(choice: SteeringChoice, device: torch.device, *, check: bool = False) -> dict[str, Searcher]:
    """Open the stores of all sides.

    Args:
        choice: Names them.
        device: Where exact search computes.
        check: Compare all that is read with its recorded hash.

    Returns:
        Side name to its stores, for the sides that there are.

    Raises:
        NotFoundError: There is no such store or version.
        IncompatibleError: The sides' keys cannot be compared.
        UsageError: A store has no rows.
    """
    searchers = {
        name: Searcher.open(stores, fidelity=choice.fidelity, device=device, check=check)
        for name, stores in choice.stores().items()
    }
    for searcher in searchers.values():
        _check_rows(searcher)
        check_same_keys(next(iter(searchers.values())).stores[0], searcher.stores[0])
    return searchers


def method_of(choice: SteeringChoice, searchers: Mapping[str, Searcher]) -> Method:
    """The method over open stores.

    Args:
        choice: With the temperature that holds, where there are stores.
        searchers: Side name to its stores.
    """
    sides = {
        name: Side(name, searcher, choice.k_of(name), choice.temperature or 1.0) for name, searcher in searchers.items()
    }
    if choice.method == BASE:
        return Base()
    if choice.method == DEXPERTS:
        return DExperts(tuple(choice.experts()), choice.alpha, choice.filter_p)
    if choice.method in {KNN_LM, DISCOURAGE}:
        return KnnLm(sides["store"], choice.lam, away=choice.method == DISCOURAGE)
    return Ensemble(sides.get("toxic"), sides.get("nontoxic"), choice.alpha, choice.filter_p)


def with_temperature(
    choice: SteeringChoice, searchers: Mapping[str, Searcher], report: Report = silent
) -> tuple[SteeringChoice, dict[str, float]]:
    """The choice with a temperature, and the spreads that it comes from."""
    if choice.temperature is not None or not searchers:
        return choice, {}
    spreads = {name: spread_at(distances_of(each, report), choice.k_of(name)) for name, each in searchers.items()}
    share = MIXTURE_SHARE if choice.method in {KNN_LM, DISCOURAGE} else ENSEMBLE_SHARE
    # Four digits are more than it is known to, and the same whatever machine measured it.
    return replace(choice, temperature=float(f"{auto_temperature(list(spreads.values()), share):.4g}")), spreads


def _base(model: ModelChoice, first: Searcher | None) -> ModelChoice:
    if model.model is not None or first is None:
        return model
    header = first.header
    return replace(model, model=header.model["name"], revision=model.revision or header.model["revision"])


def _check_rows(searcher: Searcher) -> None:
    if not searcher.rows:
        store = searcher.stores[0].location
        raise UsageError(f"{store} has no rows to search.", hint=f"Add text: goodctl datastore add {store} TEXT")


def check_fits(header: Header, layer: KeyLayer, vocabulary: int, model: str, where: str) -> None:
    """Check that a store is for such a vocabulary and such keys.

    Args:
        header: Of the store.
        layer: Where the model has its keys.
        vocabulary: Its logits.
        model: Its name, for the message.
        where: The store's place.

    Raises:
        IncompatibleError: It is for others.
    """
    if header.vocabulary != vocabulary or header.dimension != layer.dimension:
        raise IncompatibleError(
            f"{where} is for {header.vocabulary:,} tokens and keys of dimension {header.dimension}; {model} has "
            f"{vocabulary:,} and {layer.dimension}.",
            hint=f"Use the store's own model: --model {header.model['name']}",
        )


def _check_same_tokens(side: str, expert: LoadedModel, base: LoadedModel) -> None:
    if expert.vocabulary != base.vocabulary or expert.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        raise IncompatibleError(
            f"The {side} {expert.name} has other tokens than {base.name} ({expert.vocabulary:,} against "
            f"{base.vocabulary:,}).",
            hint="Experts must be fine-tuned from a model with the base model's tokenizer.",
        )


def _described(identity: Identity) -> dict[str, Any]:
    return {
        "name": identity.source.name,
        "revision": identity.source.revision,
        "fingerprint": identity.fingerprint.to_dict(),
        "ends": stated_ends(identity.source),
        "trust_remote_code": identity.choice.trust_remote_code,
    }
