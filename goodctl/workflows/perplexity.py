"""Perplexity of text under a model, and under the same model with neighbours from datastores (kNN-LM)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from goodctl.corpus import Scan
from goodctl.encoding import default_window
from goodctl.errors import InputError, UsageError
from goodctl.index.fidelities import HIGH
from goodctl.models.load import LoadedModel
from goodctl.progress import Progress, Report, silent
from goodctl.steering.methods import KnnLm
from goodctl.steering.names import BASE, KNN_LM
from goodctl.workflows.blocks import Position, blocks, expected_tokens
from goodctl.workflows.choices import EncodingChoice, Text
from goodctl.workflows.likelihoods import Figures, Likelihoods
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.predicting import Predictor
from goodctl.workflows.selection import Selection, chosen_documents
from goodctl.workflows.steering import Loaded, Steering, prepare
from goodctl.workflows.steering_choice import SteeringChoice

STAGE = "predicting"


@dataclass(frozen=True)
class PerplexityChoice:
    """What is measured beside the base model.

    Attributes:
        store: Stores whose neighbours join in, ``STORE`` or ``STORE@REF`` or globs, searched as one; may be empty.
        lam: Share of the neighbours.
        k: Neighbours of a query.
        temperature: Of the neighbours; None measures it.
        fidelity: ``exact``, ``high`` or ``fast``.
        window: Longest context in tokens; None takes that of the stores' keys, else the model's, at most 2048.
        check: Compare all that is read of the stores with its recorded hash.
    """

    store: tuple[str, ...] = ()
    lam: float = 0.25
    k: int = 1024
    temperature: float | None = None
    fidelity: str = HIGH
    window: int | None = None
    check: bool = False

    def __post_init__(self) -> None:
        self.steering()
        EncodingChoice(window=self.window)

    def steering(self) -> SteeringChoice:
        """The same as what steers a model."""
        return SteeringChoice(
            KNN_LM if self.store else BASE,
            store=self.store,
            k=self.k,
            temperature=self.temperature,
            lam=self.lam,
            fidelity=self.fidelity,
        )


@dataclass(frozen=True)
class PerplexityReport:
    """What was measured.

    Attributes:
        model: The base model.
        device: Where it ran.
        precision: In which it ran.
        window: Longest context in tokens.
        stores: Name, snapshot and rows of each store that was searched.
        lam: Share of the neighbours; None without stores, as are the next three.
        k: Neighbours of a query: as asked for, or all rows where there are fewer.
        temperature: Of the neighbours.
        fidelity: Of the search.
        measured: The spread of distances that the temperature comes from; None where it was given.
        total: Over all tokens.
        languages: Over those of each language.
        skipped: Documents without a token to predict: empty, or a single token.
        in_store: Names of text files that a store holds text of: on these the kNN-LM's perplexity means nothing.
        tokens_per_second: Predicted, by the time spent on it.
        seconds: Of the whole run, loading included.
    """

    model: str
    device: str
    precision: str
    window: int
    stores: tuple[dict[str, Any], ...]
    lam: float | None
    k: int | None
    temperature: float | None
    fidelity: str | None
    measured: float | None
    total: Figures
    languages: dict[str, Figures] = field(default_factory=dict)
    skipped: int = 0
    in_store: tuple[str, ...] = ()
    tokens_per_second: float = 0.0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **vars(self),
            "total": self.total.to_dict(),
            "languages": {language: figures.to_dict() for language, figures in self.languages.items()},
        }


def perplexity(
    text: Text, model: ModelChoice | None = None, choice: PerplexityChoice | None = None, report: Report = silent
) -> PerplexityReport:
    """Measure the perplexity of text: exp of the mean negative log probability of its tokens.

    Every token of a document but the first is predicted once, from at least half a window of what stands before it or
    from all there is.

    Args:
        text: What is read; its language tells which figures a document counts in.
        model: The base model; without a name, the one that the stores were made with.
        choice: Stores, and how their neighbours join in.
        report: Gets progress.

    Raises:
        NotFoundError: There is no such text, model, store or version.
        InputError: The text cannot be read, or has no token to predict.
        IncompatibleError: A store is not the model's.
        GoodctlError: The model gives logits that are no numbers; names the document.
        ServiceError: Memory does not suffice.
    """
    choice, started = choice or PerplexityChoice(), time.monotonic()
    scan = text.corpus.scan(report)
    prepared = prepare(choice.steering(), model or ModelChoice(), check=choice.check, report=report)
    in_store = _held(scan, prepared)
    for name in in_store:
        note = f"note: the store holds text of {name}: what it gains there says nothing about other text"
        report(Progress("", note=note))
    loaded = prepared.load(report)
    predictor = _predictor(loaded, _window(choice, prepared, loaded.model))
    settings, began = prepared.choice, time.monotonic()
    likelihoods = Likelihoods(settings.temperature or 1.0, settings.lam)
    position = _measure(predictor, text, scan, likelihoods, report)
    if not likelihoods.tokens:
        raise InputError(
            f"None of the {position.documents:,} documents has a token to predict: all are empty or a single token "
            "long.",
            hint="A token is predicted from those before it; check --text-field.",
        )
    used, stores = predictor.side is not None, tuple(prepared.describe().get("store", ()))
    return PerplexityReport(
        model=loaded.model.name,
        device=str(loaded.model.device),
        precision=loaded.model.precision,
        window=predictor.window,
        stores=stores,
        lam=settings.lam if used else None,
        k=min(settings.k, sum(store["rows"] for store in stores)) if used else None,
        temperature=settings.temperature if used else None,
        fidelity=settings.fidelity if used else None,
        measured=prepared.measured.get("store"),
        total=likelihoods.total(),
        languages=likelihoods.languages(),
        skipped=position.skipped,
        in_store=in_store,
        tokens_per_second=likelihoods.tokens / max(time.monotonic() - began, 1e-9),
        seconds=time.monotonic() - started,
    )


def _held(scan: Scan, prepared: Steering) -> tuple[str, ...]:
    """Sources of the text whose very bytes gave rows to a store."""
    stores = [store for searcher in prepared.searchers.values() for store in searcher.stores]
    known = {
        source.sha256
        for store in stores
        for segment in store.segments
        for source in segment.sources  # of those alone that its rows, however often rewritten, still come from
    }
    return tuple(source.name for source in scan.sources if source.sha256 in known and source.documents)


def _window(choice: PerplexityChoice, prepared: Steering, model: LoadedModel) -> int:
    if choice.window is not None and model.window is not None and choice.window > model.window:
        raise UsageError(
            f"--window {choice.window}: {model.name} reads at most {model.window} tokens.",
            hint=f"Choose --window {model.window} or less.",
        )
    # Queries see as much as the keys saw.
    keys = [searcher.header.window for searcher in prepared.searchers.values()]
    return choice.window or next(iter(keys), default_window(model))


def _predictor(loaded: Loaded, window: int) -> Predictor:
    side = loaded.method.store if isinstance(loaded.method, KnnLm) else None
    return Predictor(loaded.model, window, side, loaded.key_layer)


def _measure(predictor: Predictor, text: Text, scan: Scan, likelihoods: Likelihoods, report: Report) -> Position:
    """Predict everything; gives where the corpus was left."""
    selection = text.selection
    chosen = selection.choose(text.corpus, scan.documents, lambda texts: _lengths(predictor, texts))
    documents = chosen_documents(text.corpus, chosen)
    limits = selection if chosen is None else Selection()
    position = Position()
    for block in blocks(documents, limits, predictor, position):
        total = expected_tokens(block.position, scan, selection, chosen)
        for predicted in predictor.predict(block):
            likelihoods.add(predicted, [document.language for document in block.documents])
            report(Progress(STAGE, done=likelihoods.tokens, total=total, unit="tokens"))
        likelihoods.count(block)
        position = block.position
    done = likelihoods.tokens
    report(Progress(STAGE, done=done, total=done, unit="tokens", finished=True))
    return position


def _lengths(predictor: Predictor, texts: Sequence[str]) -> list[int]:
    return [len(tokens) for tokens in predictor.tokenize(texts)]
