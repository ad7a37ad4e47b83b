"""Settings without effect are refused, where they were given on purpose."""

from __future__ import annotations

import pytest

from goodctl.errors import UsageError
from goodctl.steering.names import BASE, DATASTORES, DEXPERTS, DISCOURAGE, KNN_LM
from goodctl.workflows.effects import check_effects, check_scorer_effects
from goodctl.workflows.steering_choice import chosen


@pytest.mark.parametrize(
    ("method", "given"),
    [
        (BASE, "alpha"), (BASE, "k"), (BASE, "temperature"), (BASE, "preset"), (BASE, "fidelity"), (BASE, "check"),
        (DATASTORES, "lam"),
        (KNN_LM, "alpha"), (KNN_LM, "filter_p"), (DISCOURAGE, "k_nontoxic"),
        (DEXPERTS, "k"), (DEXPERTS, "temperature"), (DEXPERTS, "lam"),
    ],
)  # fmt: skip
def test_without_effect(method: str, given: str) -> None:
    with pytest.raises(UsageError, match=f"--{given.replace('_', '-')} has no effect with the method {method}"):
        check_effects(method, [given], toxic=True, nontoxic=True)


def test_with_effect() -> None:
    check_effects(
        DATASTORES, ["alpha", "filter_p", "k", "k_nontoxic", "temperature", "preset", "seed"], toxic=True, nontoxic=True
    )
    check_effects(KNN_LM, ["lam", "k", "temperature", "preset", "top_p"], toxic=True, nontoxic=False)
    check_effects(DEXPERTS, ["alpha", "filter_p", "preset"], toxic=True, nontoxic=False)
    check_effects(BASE, ["seed", "top_p", "out"], toxic=True, nontoxic=False)


def test_a_number_for_a_side_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="without a nontoxic store"):
        chosen(None, toxic=["toxic"], k_nontoxic=8).check_effects(["k_nontoxic"])
    assert chosen(None, nontoxic=["nontoxic"], k_nontoxic=8).check_effects(["k_nontoxic"]).k_nontoxic == 8
    with pytest.raises(UsageError, match="no effect beside --k-nontoxic"):
        chosen(None, nontoxic=["nontoxic"], k=4, k_nontoxic=8).check_effects(["k", "k_nontoxic"])


@pytest.mark.parametrize(
    ("scorer", "given"),
    [("profanity", "label_map"), ("profanity", "rate"), ("perspective", "batch_tokens"), ("hf:a/b", "base_url")],
)
def test_a_scorers_setting_without_effect(scorer: str, given: str) -> None:
    with pytest.raises(UsageError, match=f"--{given.replace('_', '-')} has no effect with the scorer"):
        check_scorer_effects(scorer, ["out", given])


def test_a_scorers_setting_with_effect() -> None:
    check_scorer_effects("perspective", ["rate", "base_url", "attributes", "emit", "language"])
    check_scorer_effects("hf:a/b", ["label_map", "revision", "scorer_revision", "batch_tokens", "device"])
    check_scorer_effects("route:languages.json", ["rate", "label_map"])
    check_scorer_effects("plug-in", ["rate", "label_map"])
