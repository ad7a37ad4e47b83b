"""Which method steers, with which stores or models, how strongly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from goodctl.errors import UsageError
from goodctl.index.fidelities import HIGH
from goodctl.index.plan import check_fidelity
from goodctl.steering.methods import check_alpha, check_lam
from goodctl.steering.names import BASE, DATASTORES, DEXPERTS, DISCOURAGE, KNN_LM, METHODS
from goodctl.steering.nucleus import check_share
from goodctl.workflows.effects import check_effects
from goodctl.workflows.presets import PRESETS

PUBLISHED_ALPHA = 2.0
"""The other published settings (k 1024, nuclei of 0.9, lam 0.25) are the defaults."""
PUBLISHED_TEMPERATURE, PUBLISHED_MULTILINGUAL_TEMPERATURE = 100.0, 200.0


@dataclass(frozen=True)
class SteeringChoice:
    """What steers a model.

    Attributes:
        method: One of ``METHODS``.
        toxic: Stores to steer away from, ``STORE`` or ``STORE@REF`` or globs, searched as one.
        nontoxic: Stores to steer towards.
        store: Stores of the kNN-LM methods.
        expert: Model to steer towards.
        antiexpert: Model to steer away from.
        alpha: Strength of the ensemble.
        k: Neighbours of a query.
        k_nontoxic: Of the nontoxic side; None takes ``k``.
        temperature: Of the neighbours; None measures it.
        filter_p: Nucleus of the base model that the ensemble keeps to.
        lam: Share of the neighbours of ``knn-lm``, strength of ``knn-lm-discourage``.
        fidelity: ``exact``, ``high`` or ``fast``.
        preset: ``published`` takes the published temperature where none is named; else None.
    """

    method: str = DATASTORES
    toxic: tuple[str, ...] = ()
    nontoxic: tuple[str, ...] = ()
    store: tuple[str, ...] = ()
    expert: str | None = None
    antiexpert: str | None = None
    alpha: float = 1.0
    k: int = 1024
    k_nontoxic: int | None = None
    temperature: float | None = None
    filter_p: float = 0.9
    lam: float = 0.25
    fidelity: str = HIGH
    preset: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"There is no method {self.method!r}.", hint=f"Choose one of {', '.join(METHODS)}.")
        if self.preset is not None and self.preset not in PRESETS:
            raise UsageError(f"There is no preset {self.preset!r}.", hint=f"Choose one of {', '.join(PRESETS)}.")
        for name, value in (("-k", self.k), ("--k-nontoxic", self.k_nontoxic)):
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: it must be at least 1.", hint="Published work takes 1024.")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"--temperature {self.temperature}: it must be above 0.", hint="Leave it out for auto.")
        check_alpha(self.alpha)
        check_share(self.filter_p, "--filter-p")
        check_lam(self.lam, away=self.method == DISCOURAGE)
        check_fidelity(self.fidelity)
        self._check_sides()

    def _check_sides(self) -> None:
        """Each method has its own sides; others would be silently without effect."""
        sides: dict[str, Any] = {
            "--toxic": self.toxic,
            "--nontoxic": self.nontoxic,
            "--store": self.store,
            "--expert": self.expert,
            "--antiexpert": self.antiexpert,
        }
        wanted = {
            BASE: [],
            DATASTORES: ["--toxic", "--nontoxic"],
            KNN_LM: ["--store"],
            DISCOURAGE: ["--store"],
            DEXPERTS: ["--expert", "--antiexpert"],
        }[self.method]
        extra = [name for name, value in sides.items() if value and name not in wanted]
        if extra:
            raise UsageError(
                f"The method {self.method} has no use for {', '.join(extra)}.",
                hint=f"Leave it out, or choose the method it belongs to: --method {_owner(extra[0])}",
            )
        if wanted and not any(sides[name] for name in wanted):
            raise UsageError(
                f"The method {self.method} needs {' or '.join(wanted)}.",
                hint=f"Name {'one' if len(wanted) == 1 else 'one or both'}: "
                + " ".join(f"{name} {'MODEL' if 'expert' in name else 'STORE'}" for name in wanted),
            )

    def check_effects(self, given: Iterable[str]) -> SteeringChoice:
        """Itself, if all settings that were given on purpose have an effect.

        Raises:
            UsageError: One has none.
        """
        check_effects(self.method, given, toxic=bool(self.toxic), nontoxic=bool(self.nontoxic))
        return self

    def stores(self) -> dict[str, tuple[str, ...]]:
        """Side name to its stores, for the sides that there are."""
        sides = {"toxic": self.toxic, "nontoxic": self.nontoxic, "store": self.store}
        return {name: stores for name, stores in sides.items() if stores}

    def experts(self) -> dict[str, str]:
        """Side name to its model, for those that there are."""
        sides = {"expert": self.expert, "antiexpert": self.antiexpert}
        return {name: model for name, model in sides.items() if model}

    def k_of(self, side: str) -> int:
        """Neighbours that a side is asked for."""
        return self.k_nontoxic if side == "nontoxic" and self.k_nontoxic is not None else self.k

    def settings(self) -> dict[str, Any]:
        """Those that have an effect on the method, under the names of the options."""
        settings: dict[str, Any] = {"method": self.method}
        if self.method in {DATASTORES, DEXPERTS}:
            settings |= {"alpha": self.alpha, "filter_p": self.filter_p}
        if self.stores():
            settings |= {"k": self.k, "temperature": self.temperature or "auto", "fidelity": self.fidelity}
        if self.nontoxic:
            settings["k_nontoxic"] = self.k_of("nontoxic")
        if self.method in {KNN_LM, DISCOURAGE}:
            settings["lam"] = self.lam
        if self.preset is not None:
            settings["preset"] = self.preset
        return settings


def published(choice: SteeringChoice, languages: Sequence[str]) -> SteeringChoice:
    """The published temperature in place of ``auto``, where the preset asks for it.

    Published work takes 100 for English stores and 200 for multilingual ones (arXiv 2310.07589, 2403.03893).

    Args:
        choice: What was asked.
        languages: Of the stores' segments.
    """
    if choice.preset is None or choice.temperature is not None:
        return choice
    english = {language.split("-")[0].lower() for language in languages} <= {"en", "und"}
    return replace(choice, temperature=PUBLISHED_TEMPERATURE if english else PUBLISHED_MULTILINGUAL_TEMPERATURE)


def _owner(option: str) -> str:
    return {"--store": KNN_LM, "--expert": DEXPERTS, "--antiexpert": DEXPERTS}.get(option, DATASTORES)


def chosen(
    method: str | None,
    *,
    toxic: Sequence[str] | None = None,
    nontoxic: Sequence[str] | None = None,
    store: Sequence[str] | None = None,
    expert: str | None = None,
    antiexpert: str | None = None,
    alpha: float | None = None,
    **others: Any,
) -> SteeringChoice:
    """A choice from options of which few are given: the method follows from the stores or models that are named.

    Args:
        method: One of ``METHODS``, or None.
        toxic: As in ``SteeringChoice``, as are the others.
        nontoxic: Stores to steer towards.
        store: Stores of the kNN-LM methods.
        expert: Model to steer towards.
        antiexpert: Model to steer away from.
        alpha: None takes the preset's, or 1.
        others: The other fields.
    """
    if method is None:
        method = DATASTORES if toxic or nontoxic else KNN_LM if store else DEXPERTS if expert or antiexpert else BASE
    if alpha is None:
        alpha = PUBLISHED_ALPHA if others.get("preset") is not None else 1.0
    return SteeringChoice(
        method,
        tuple(toxic or ()),
        tuple(nontoxic or ()),
        tuple(store or ()),
        expert,
        antiexpert,
        alpha,
        **others,
    )
