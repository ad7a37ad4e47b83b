"""All settings of a whole run, from prompts to figures, under the names that options and files of settings use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from goodctl.scoring.attributes import parse_attributes
from goodctl.scoring.protocol import ScorerOptions

if TYPE_CHECKING:  # torch takes seconds to load, and files of settings do without it
    from goodctl.steering.decode import Sampling
    from goodctl.workflows.evaluate import EvaluateChoice
    from goodctl.workflows.generate_choice import GenerateChoice
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.score_choice import ScoreChoice
    from goodctl.workflows.steering_choice import SteeringChoice

RUN, MODEL, STEERING, GENERATION, SCORING, EVALUATION = (
    "run",
    "model",
    "steering",
    "generation",
    "scoring",
    "evaluation",
)
TABLES = (RUN, MODEL, STEERING, GENERATION, SCORING, EVALUATION)
STORES = ("toxic", "nontoxic", "store")
BASE, STEERED = "base", "steered"


def _in(table: str, default: Any) -> Any:
    return field(default=default, metadata={"table": table})


@dataclass(frozen=True)
class RunSettings:
    """What a run does. Where nothing else is said, a setting is that of the command of its step.

    Raises:
        UsageError: An attribute is no name.

    Attributes:
        prompts: A file of prompts.
        with_base: Whether the model also runs unsteered on the same prompts and seeds, and is compared.
        page: Whether the figures are also written as a report page.
        model: The base model; None takes the one that the stores were made with.
        revision: Of a hub id.
        device: Where all models run.
        precision: Of the base model and of the one that measures perplexity.
        trust_remote_code: Whether code that comes with a model may run.
        method: What steers; None takes what the stores or models are for.
        toxic: Stores to steer away from.
        nontoxic: Stores to steer towards.
        store: Stores of the kNN-LM methods.
        expert: Model to steer towards.
        antiexpert: Model to steer away from.
        alpha: Strength of the ensemble; None takes the preset's, or 1.
        k: Neighbours of a query.
        k_nontoxic: Of the nontoxic side; None takes ``k``.
        temperature: Of the neighbours; None measures it.
        filter_p: Nucleus of the base model that the ensemble keeps to.
        lam: Of the kNN-LM methods.
        preset: ``published`` or None.
        fidelity: ``exact``, ``high`` or ``fast``.
        check: Compare all that is read of the stores with its recorded hash.
        num_return_sequences: Continuations of a prompt.
        max_new_tokens: Tokens of a continuation, at most.
        top_p: Nucleus that is sampled from.
        seed: Of sampling, and of resampling for the intervals.
        num_prompts: Only the first so many prompts, or None for all.
        prompt_field: Field of the prompt, or None for the usual ones.
        batch_size: Prompts at once; None takes what suits the device.
        explain: Of the first so many prompts, one continuation is explained token by token.
        scorer: Who scores.
        attributes: What is scored, in lower case.
        language: Of all texts; beside a language field, of those whose record says none.
        language_field: The field of the language, or None for the usual ones.
        rate: Queries a second at most, for a service.
        base_url: Another address of a service.
        batch_tokens: Token budget of a classifier's batch.
        label_map: File that maps a classifier's labels.
        scorer_revision: Of a classifier on the hub.
        calibration: File of maps that scores go through.
        emit: ``perspective`` also writes the scorer's own answers.
        group_by: A column whose values are evaluated apart, too.
        threshold: Toxic is what is above it.
        max_missing: Share of scores that may be missing.
        bootstrap: Resamples for intervals.
        perplexity_model: Measures the perplexity of continuations, or None.
    """

    prompts: str = _in(RUN, "")
    with_base: bool = _in(RUN, False)
    page: bool = _in(RUN, True)
    model: str | None = _in(MODEL, None)
    revision: str | None = _in(MODEL, None)
    device: str = _in(MODEL, "auto")
    precision: str = _in(MODEL, "auto")
    trust_remote_code: bool = _in(MODEL, False)
    method: str | None = _in(STEERING, None)
    toxic: tuple[str, ...] = _in(STEERING, ())
    nontoxic: tuple[str, ...] = _in(STEERING, ())
    store: tuple[str, ...] = _in(STEERING, ())
    expert: str | None = _in(STEERING, None)
    antiexpert: str | None = _in(STEERING, None)
    alpha: float | None = _in(STEERING, None)
    k: int = _in(STEERING, 1024)
    k_nontoxic: int | None = _in(STEERING, None)
    temperature: float | None = _in(STEERING, None)
    filter_p: float = _in(STEERING, 0.9)
    lam: float = _in(STEERING, 0.25)
    preset: str | None = _in(STEERING, None)
    fidelity: str = _in(STEERING, "high")
    check: bool = _in(STEERING, False)
    num_return_sequences: int = _in(GENERATION, 25)
    max_new_tokens: int = _in(GENERATION, 20)
    top_p: float = _in(GENERATION, 0.9)
    seed: int = _in(GENERATION, 0)
    num_prompts: int | None = _in(GENERATION, None)
    prompt_field: str | None = _in(GENERATION, None)
    batch_size: int | None = _in(GENERATION, None)
    explain: int = _in(GENERATION, 0)
    scorer: str = _in(SCORING, "")
    attributes: tuple[str, ...] = _in(SCORING, ("toxicity",))
    language: str | None = _in(SCORING, None)
    language_field: str | None = _in(SCORING, None)
    rate: float | None = _in(SCORING, None)
    base_url: str | None = _in(SCORING, None)
    batch_tokens: int | None = _in(SCORING, None)
    label_map: str | None = _in(SCORING, None)
    scorer_revision: str | None = _in(SCORING, None)
    calibration: str | None = _in(SCORING, None)
    emit: str | None = _in(SCORING, None)
    group_by: str | None = _in(EVALUATION, None)
    threshold: float = _in(EVALUATION, 0.5)
    max_missing: float = _in(EVALUATION, 0.01)
    bootstrap: int = _in(EVALUATION, 2000)
    perplexity_model: str | None = _in(EVALUATION, None)

    def __post_init__(self) -> None:
        for name in STORES:  # a list, or a single store, is as good
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "attributes", parse_attributes(self.attributes))

    @property
    def sides(self) -> tuple[str, ...]:
        """What is generated, in the order in which it is evaluated: ``base``, ``steered``."""
        from goodctl.steering import names

        if self.steering().method == names.BASE:
            return (BASE,)
        return (BASE, STEERED) if self.with_base else (STEERED,)

    def steering(self, side: str = STEERED) -> SteeringChoice:
        """What steers a side."""
        from goodctl.steering import names
        from goodctl.workflows.steering_choice import SteeringChoice, chosen

        if side == BASE:
            return SteeringChoice(names.BASE)
        return chosen(
            self.method,
            toxic=self.toxic,
            nontoxic=self.nontoxic,
            store=self.store,
            expert=self.expert,
            antiexpert=self.antiexpert,
            alpha=self.alpha,
            k=self.k,
            k_nontoxic=self.k_nontoxic,
            temperature=self.temperature,
            filter_p=self.filter_p,
            lam=self.lam,
            fidelity=self.fidelity,
            preset=self.preset,
        )

    def base_model(self) -> ModelChoice:
        """The model that is steered."""
        from goodctl.workflows.model_choice import ModelChoice

        return ModelChoice(self.model, self.revision, self.device, self.precision, self.trust_remote_code)

    def judge(self) -> ModelChoice | None:
        """The model that measures perplexity."""
        from goodctl.workflows.model_choice import ModelChoice

        if self.perplexity_model is None:
            return None
        return ModelChoice(self.perplexity_model, None, self.device, self.precision, self.trust_remote_code)

    def sampling(self) -> Sampling:
        """How continuations are drawn."""
        from goodctl.steering.decode import Sampling

        return Sampling(self.num_return_sequences, self.max_new_tokens, self.top_p, self.seed)

    def generation(self, side: str, out: str, *, overwrite: bool) -> GenerateChoice:
        """What is generated into a file."""
        from goodctl.workflows.generate_choice import GenerateChoice

        return GenerateChoice(
            self.prompts,
            out,
            self.sampling(),
            self.batch_size,
            self.num_prompts,
            self.prompt_field,
            self.explain if side == STEERED else 0,
            overwrite,
            self.check and side == STEERED,
        )

    def scoring(self, texts: str, out: str, *, overwrite: bool = False) -> ScoreChoice:
        """How a file is scored into another."""
        from goodctl.workflows.score_choice import ScoreChoice

        options = ScorerOptions(
            self.attributes,
            self.emit is not None,
            self.rate,
            self.base_url,
            None if self.device == "auto" else self.device,
            self.batch_tokens,
            self.label_map,
            self.scorer_revision,
        )
        return ScoreChoice(
            texts,
            self.scorer,
            out,
            options,
            None,
            self.language,
            self.language_field,
            self.calibration,
            self.emit,
            overwrite,
        )

    def evaluating(self, files: Iterable[str]) -> EvaluateChoice:
        """How scored files are evaluated."""
        from goodctl.evaluation.results import Bootstrap
        from goodctl.workflows.evaluate import EvaluateChoice

        bootstrap = Bootstrap(self.bootstrap, self.seed)
        return EvaluateChoice(tuple(files), self.group_by, self.threshold, self.max_missing, bootstrap)

    def tables(self) -> dict[str, dict[str, Any]]:
        """The settings by table, as JSON and TOML values; those that are None are left out."""
        found: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                found[each.metadata["table"]][each.name] = list(value) if isinstance(value, tuple) else value
        return found

    def differences(self, other: RunSettings) -> dict[str, str]:
        """What another run would do differently: setting to ``name: this → that``."""
        pairs = {each.name: (getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        return {
            name: f"{name}: {_said(mine)} → {_said(theirs)}" for name, (mine, theirs) in pairs.items() if mine != theirs
        }


def table_of(name: str) -> str:
    """The table of a setting."""
    return str(RunSettings.__dataclass_fields__[name].metadata["table"])


def settings_of(values: Mapping[str, Any]) -> RunSettings:
    """Settings from values by name, lists for tuples.

    Raises:
        TypeError: There is no such setting.
    """
    typed: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return RunSettings(**typed)


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)
