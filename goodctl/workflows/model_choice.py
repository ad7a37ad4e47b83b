"""Which model a command uses, and whether it is the one that a store was made with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from goodctl.datastore.format import Header
from goodctl.errors import IncompatibleError, UsageError
from goodctl.models.fingerprint import Fingerprint, fingerprint
from goodctl.models.load import LoadedModel, load_model, load_tokenizer
from goodctl.models.source import ModelSource, resolve
from goodctl.progress import Progress, Report, silent


@dataclass(frozen=True)
class ModelChoice:
    """A model and how to run it.

    Attributes:
        model: Hub id, folder, ``.gguf`` file or alias; None means the model of the store at hand.
        revision: Of a hub id: branch, tag or commit.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: ``auto``, ``bf16``, ``fp32`` or ``fp16``.
        trust_remote_code: Whether code that comes with the model may run.
    """

    model: str | None = None
    revision: str | None = None
    device: str = "auto"
    precision: str = "auto"
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Identity:
    """A model that was found and identified, but whose weights are not loaded yet."""

    choice: ModelChoice
    source: ModelSource
    fingerprint: Fingerprint

    def describe(self, model: LoadedModel) -> dict[str, Any]:
        """What a store's header says of its model."""
        return {
            "name": self.source.name,
            "revision": self.source.revision,
            "architecture": type(model.model).__name__,
            "fingerprint": self.fingerprint.to_dict(),
        }

    def load(self, report: Report = silent) -> LoadedModel:
        """Load the weights, unless they are still there (``keeping_last_model``)."""
        kept = _KEPT.get()
        if kept and (kept[0].fingerprint, kept[0]._how()) == (self.fingerprint, self._how()):
            return kept[1]
        if kept is not None:
            _KEPT.set(())  # two models at once may be more than the memory takes
        del kept
        report(Progress(stage="loading the model"))
        choice = self.choice
        model = load_model(
            self.source,
            device=choice.device,
            precision=choice.precision,
            trust_remote_code=choice.trust_remote_code,
        )
        report(Progress(stage="loading the model", finished=True))
        if _KEPT.get() is not None:
            _KEPT.set((self, model))
        return model

    def _how(self) -> tuple[Any, ...]:
        choice = self.choice
        return str(self.source.folder), choice.device, choice.precision, choice.trust_remote_code


_KEPT: ContextVar[tuple[Identity, LoadedModel] | tuple[()] | None] = ContextVar("kept", default=None)
"""The model that was loaded last; None where none is to be kept."""


@contextlib.contextmanager
def keeping_last_model() -> Iterator[None]:
    """While inside, the model that was loaded last stays in memory, for steps that use the same one after another."""
    before = _KEPT.get()
    if before is None:
        _KEPT.set(())
    try:
        yield
    finally:
        if before is None:
            _KEPT.set(None)


def identify(choice: ModelChoice, report: Report = silent) -> Identity:
    """Find a model and take its fingerprint.

    Raises:
        NotFoundError: There is no such model.
        ServiceError: The hub cannot be reached, or refuses.
        MissingDependency: A package is needed to read it.
    """
    if choice.model is None:
        raise UsageError("No model is named.", hint="Name one: --model gemma3-270m, a hub id, a folder or a .gguf file")
    source = resolve(choice.model, revision=choice.revision, trust_remote_code=choice.trust_remote_code, report=report)
    tokenizer = load_tokenizer(source, trust_remote_code=choice.trust_remote_code)
    return Identity(choice, source, fingerprint(source, tokenizer, report))


def store_model(header: Header, asked: ModelChoice | None) -> ModelChoice:
    """The model that was asked for; where none was, the one that the store was made with."""
    asked = asked or ModelChoice()
    if asked.model is not None:
        return asked
    return replace(asked, model=header.model["name"], revision=asked.revision or header.model["revision"])


def check_same_model(header: Header, identity: Identity, where: str) -> None:
    """Check that a store was made with this very model.

    Raises:
        IncompatibleError: It was another; says whether config, tokenizer or weights differ.
    """
    different = identity.fingerprint.differences(Fingerprint.from_dict(header.model["fingerprint"]))
    if not different:
        return
    made_with, revision = header.model["name"], header.model["revision"]
    hint = f"Use the store's own model: --model {made_with}" + (f" --revision {revision}" if revision else "")
    raise IncompatibleError(
        f"{where} was made with {made_with}; {identity.source.name} differs in its {' and '.join(different)}.",
        hint=hint
        if identity.source.name != made_with
        else f"{made_with} has changed since; a new store is needed for it.",
    )
