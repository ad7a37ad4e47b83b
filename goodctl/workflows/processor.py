"""Steering inside of transformers' own ``model.generate``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from transformers import LogitsProcessor

from goodctl.datastore.store import Datastore
from goodctl.errors import GoodctlError, IncompatibleError, MissingDependency, NotFoundError, UsageError
from goodctl.index.fidelities import HIGH
from goodctl.index.search import Searcher
from goodctl.models.fingerprint import Fingerprint, config_hash, weights_hash
from goodctl.models.key_layer import KeyLayer, find_key_layer
from goodctl.models.load import vocabulary_of
from goodctl.models.source import ALIASES, ModelSource, resolve
from goodctl.models.tap import Tap, tapped
from goodctl.steering.methods import Inputs
from goodctl.steering.names import BASE, DEXPERTS
from goodctl.workflows.steering import check_fits, method_of, open_stores, with_temperature
from goodctl.workflows.steering_choice import chosen

Stores = str | Path | Sequence[str | Path]


class SteeringProcessor(LogitsProcessor):  # type: ignore[misc]
    """Steers ``model.generate`` with datastores, whether it decodes greedily, samples or searches with beams.

    Use it inside of its own ``with`` block: it reads the model's hidden states by a hook, which is there meanwhile and
    gone afterwards, whatever happens::

        with goodctl.SteeringProcessor(model, toxic="toxic", nontoxic="nontoxic") as steering:
            model.generate(**inputs, logits_processor=[steering], do_sample=True, top_p=0.9)

    Weights in memory have no fingerprint. What is compared with the stores is the architecture, the number of tokens
    and the dimension of the keys; and configuration and weights of the folder that the model says it was loaded from,
    where there is one. That a model which came from a hub, or was changed since, is the stores' own, its user must
    know. The tokenizer is the user's affair too.

    It is not for assisted decoding, nor together with ``guidance_scale``, nor for two threads at once.

    Attributes:
        choice: What steers, with the temperature that holds.

    Args:
        model: A causal language model of transformers, loaded.
        toxic: Stores to steer away from, ``STORE`` or ``STORE@REF`` or globs, searched as one.
        nontoxic: Stores to steer towards.
        store: Stores of the kNN-LM methods.
        method: ``datastores``, ``knn-lm`` or ``knn-lm-discourage``; None takes what belongs to the stores named.
        alpha: Strength of the ensemble.
        k: Neighbours of a query.
        k_nontoxic: Of the nontoxic side; None takes ``k``.
        temperature: Of the neighbours; None takes what the stores' distances call for.
        filter_p: Nucleus of the base model that the ensemble keeps to.
        lam: Share of the neighbours of ``knn-lm``, strength of ``knn-lm-discourage``.
        fidelity: ``exact``, ``high`` or ``fast``.
        check: Compare all that is read with its recorded hash.

    Raises:
        NotFoundError: There is no such store or version.
        IncompatibleError: A store is of another model.
        UsageError: No store is named, or a setting makes no sense.
    """

    def __init__(
        self,
        model: Any,
        *,
        toxic: Stores = (),
        nontoxic: Stores = (),
        store: Stores = (),
        method: str | None = None,
        alpha: float = 1.0,
        k: int = 1024,
        k_nontoxic: int | None = None,
        temperature: float | None = None,
        filter_p: float = 0.9,
        lam: float = 0.25,
        fidelity: str = HIGH,
        check: bool = False,
    ) -> None:
        if method == DEXPERTS:
            raise UsageError(
                "Experts cannot steer model.generate, which runs one model.",
                hint="goodctl generate PROMPTS --expert MODEL --antiexpert MODEL --out OUT",
            )
        choice = chosen(
            method,
            toxic=_references(toxic),
            nontoxic=_references(nontoxic),
            store=_references(store),
            alpha=alpha,
            k=k,
            k_nontoxic=k_nontoxic,
            temperature=temperature,
            filter_p=filter_p,
            lam=lam,
            fidelity=fidelity,
        )
        if choice.method == BASE:
            raise UsageError(
                "No datastore is named.",
                hint="SteeringProcessor(model, toxic='STORE', nontoxic='STORE') or one of them",
            )
        searchers = open_stores(choice, model.device, check=check)
        self._model, self._key_layer = model, _key_layer_in(model, searchers)
        self.choice, _ = with_temperature(choice, searchers)
        self._method = method_of(self.choice, searchers)
        self._hook = contextlib.ExitStack()
        self._tap: Tap | None = None

    def __enter__(self) -> Self:
        if self._tap is not None:
            raise UsageError("The steering processor is in use already.", hint="Make another for another generation.")
        self._tap = self._hook.enter_context(tapped(self._model, self._key_layer))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._tap = None
        self._hook.close()

    @torch.no_grad()
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Steer the next token.

        Args:
            input_ids: (B, T) int64, not looked at: what the model made of them has come by the hook.
            scores: (B, V) logits or log probabilities of the model.

        Returns:
            (B, V) float32 log probabilities, -inf for what is impossible.

        Raises:
            UsageError: It is not inside of its ``with`` block, or not told of every forward pass of its model.
            GoodctlError: The scores are no numbers.
        """
        queries = self._queries(len(scores)).to(scores.device)
        best = scores.amax(-1)
        if bool((best.isnan() | best.isposinf()).any()):
            raise GoodctlError(
                "The model gives scores that are no numbers.", hint="Load it in another precision: dtype=torch.float32"
            )
        # Where other processors have left no token at all there is nothing to steer.
        possible = ~best.isneginf()
        steered = torch.full_like(scores, -torch.inf, dtype=torch.float32)
        if bool(possible.any()):
            weights = self._method.whole(Inputs(scores[possible], queries[possible]))
            steered[possible] = weights.log_softmax(-1)
        return steered

    def _queries(self, batch: int) -> torch.Tensor:
        """The key layer's states (B, D) of the pass that the scores come from; they serve once."""
        if self._tap is None:
            raise UsageError(
                "The steering processor works inside of its with block only, where it can read the hidden states.",
                hint="with SteeringProcessor(model, …) as steering: model.generate(…, logits_processor=[steering])",
            )
        if self._tap.is_empty:
            raise UsageError(
                "The steering processor was asked for scores without a forward pass of its model before them.",
                hint="Use it with the model it was made for, and without assisted decoding: no assistant_model, no "
                "prompt_lookup_num_tokens.",
            )
        queries = self._tap.last(batch)
        self._tap.forget()
        return queries


def _references(stores: Stores) -> tuple[str, ...]:
    return (str(stores),) if isinstance(stores, str | Path) else tuple(str(each) for each in stores)


def _key_layer_in(model: Any, searchers: Mapping[str, Searcher]) -> KeyLayer:
    """Where the model has the stores' keys; checks that it is their model as far as can be told.

    Raises:
        IncompatibleError: It is another.
    """
    first = next(iter(searchers.values())).stores[0]
    header, name = first.header, type(model).__name__
    layer = find_key_layer(model, header.key_layer)
    check_fits(header, layer, vocabulary_of(model), name, first.location)
    if header.model["architecture"] != name:
        raise IncompatibleError(
            f"{first.location} was made with a {header.model['architecture']}; this is a {name}.",
            hint=f"Load the store's own model, {header.model['name']}. An adapter must be merged into its model.",
        )
    if (source := _source(model)) is not None:
        for searcher in searchers.values():
            for store in searcher.stores:
                _check_same_files(store, source)
    return layer


def _source(model: Any) -> ModelSource | None:
    """Where the model says it was loaded from, as far as that is on this machine."""
    name = str(getattr(model.config, "_name_or_path", None) or "")
    if name not in ALIASES and not (name and Path(name).exists()):
        return None
    try:
        return resolve(name)
    except (NotFoundError, MissingDependency):  # it is no model any more
        return None


def _check_same_files(store: Datastore, source: ModelSource) -> None:
    made_with = store.header.model
    known = Fingerprint.from_dict(made_with["fingerprint"])
    hashes = {"config": (config_hash, known.config), "weights": (weights_hash, known.weights)}
    if different := [name for name, (hash_of, expected) in hashes.items() if hash_of(source) != expected]:
        raise IncompatibleError(
            f"{store.location} was made with {made_with['name']}; {source.name} differs in its "
            f"{' and '.join(different)}.",
            hint=f"Load the store's own model, {made_with['name']}.",
        )
