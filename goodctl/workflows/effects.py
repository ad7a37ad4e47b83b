"""Which settings mean something to which method: one without effect is a mistake that is better said."""

from __future__ import annotations

from collections.abc import Iterable

from goodctl.errors import UsageError
from goodctl.steering.names import BASE, DATASTORES, DEXPERTS, DISCOURAGE, KNN_LM, METHODS

_STORES = frozenset({DATASTORES, KNN_LM, DISCOURAGE})
_ENSEMBLES = frozenset({DATASTORES, DEXPERTS})
_METHODS_OF = {
    "alpha": _ENSEMBLES,
    "filter_p": _ENSEMBLES,
    "k": _STORES,
    "k_nontoxic": frozenset({DATASTORES}),
    "temperature": _STORES,
    "fidelity": _STORES,
    "check": _STORES,
    "lam": frozenset({KNN_LM, DISCOURAGE}),
    "preset": frozenset(METHODS) - {BASE},
}


def check_effects(method: str, given: Iterable[str], *, toxic: bool, nontoxic: bool) -> None:
    """Check that each setting that was given on purpose has an effect.

    Args:
        method: One of ``METHODS``.
        given: Names of settings that were written down; others than those of a method are passed over.
        toxic: Whether there is a toxic store.
        nontoxic: Whether there is a nontoxic store.

    Raises:
        UsageError: One has none.
    """
    given = list(given)
    if {"k", "k_nontoxic"} <= set(given) and nontoxic and not toxic:
        raise UsageError("--k has no effect beside --k-nontoxic without a toxic store.", hint="Leave one of them out.")
    for name in given:
        methods = _METHODS_OF.get(name)
        option = f"--{name.replace('_', '-')}"
        if methods is not None and method not in methods:
            raise UsageError(
                f"{option} has no effect with the method {method}.",
                hint=f"Leave it out; it belongs to {', '.join(each for each in METHODS if each in methods)}.",
            )
        if name == "k_nontoxic" and not nontoxic:
            raise UsageError(
                f"{option} has no effect without a nontoxic store.", hint="Leave it out, or name one: --nontoxic STORE"
            )


_KINDS_OF = {
    "rate": "perspective",
    "base_url": "perspective",
    "batch_tokens": "hf",
    "label_map": "hf",
    "revision": "hf",
    "scorer_revision": "hf",
}
_OWN_KINDS = frozenset({"perspective", "hf", "profanity"})
"""Of a route, and of scorers from elsewhere, nobody knows here what they take."""


def check_scorer_effects(scorer: str, given: Iterable[str]) -> None:
    """Check that each setting of a scorer that was given on purpose means something to it.

    Args:
        scorer: Its name, such as ``hf:MODEL``.
        given: Names of settings that were written down; others than those of scorers are passed over.

    Raises:
        UsageError: One has no effect.
    """
    kind = scorer.partition(":")[0]
    for name in given if kind in _OWN_KINDS else ():
        owner = _KINDS_OF.get(name, kind)
        if owner != kind:
            raise UsageError(
                f"--{name.replace('_', '-')} has no effect with the scorer {kind}.",
                hint=f"Leave it out; it belongs to {'hf:MODEL' if owner == 'hf' else owner}.",
            )
