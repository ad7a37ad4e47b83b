"""The demo: every part of goodctl once, on small texts that come with it, in steps that can be shown one by one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goodctl.corpus import Corpus
from goodctl.datastore.history import log
from goodctl.datastore.names import create_tag, tags
from goodctl.datastore.store import Datastore
from goodctl.datastore.summary import summary
from goodctl.errors import ConflictError, ExistsError
from goodctl.evaluation.plot_style import require_plots
from goodctl.models.names import PACKAGED
from goodctl.models.source import resolve
from goodctl.progress import headed
from goodctl.scoring import registry
from goodctl.scoring.protocol import ScorerOptions
from goodctl.steering.decode import Sampling
from goodctl.steering.names import BASE
from goodctl.workflows import demo_texts as texts
from goodctl.workflows.build import add, build
from goodctl.workflows.choices import Running, Text
from goodctl.workflows.demo_results import Built, Continued, Looked
from goodctl.workflows.generate import generate
from goodctl.workflows.generate_choice import GenerateChoice, GenerateRun
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.run import RunResult, run
from goodctl.workflows.run_folder import RunFolder
from goodctl.workflows.run_job import RunControl
from goodctl.workflows.run_settings import RunSettings
from goodctl.workflows.steering_choice import SteeringChoice
from goodctl.workflows.writing import WriteResult

MODEL = PACKAGED
SCORER = "profanity"
FIRST_VERSION = "english"
"""Tag of the stores before languages are added."""
MOST_SHARE = 20
"""A query gets at most one neighbour in so many rows: more would be no neighbours any more."""
MOST_NEIGHBORS = 1024
ALPHA = 3.0
"""Stronger than published work, whose stores are far larger (docs/explanation/demo-texts.md)."""
CONTINUATIONS = 10
"""Of a prompt. Published work takes 25, which would take more than five minutes on two cores."""


@dataclass(frozen=True)
class Step:
    """One step of the demo.

    Attributes:
        name: A stable word for it.
        title: What is done.
        commands: What a user would type for it, in the demo's folder.
        work: Does it; gives what there is to show.
    """

    name: str
    title: str
    commands: tuple[str, ...]
    work: Callable[[RunControl], Any] = field(repr=False)


@dataclass(frozen=True)
class Demo:
    """The demo in a folder.

    Attributes:
        folder: Where it works.
        model: What it works with.
        device: Where models run.
    """

    folder: Path
    model: str = MODEL
    device: str = "auto"

    def check(self) -> None:
        """Check that everything is installed.

        Raises:
            MissingDependency: A package is missing.
        """
        with closing(registry.open_scorer(SCORER, ScorerOptions())):
            require_plots()

    def prepare(self) -> None:
        """Write the texts into the folder, unless an earlier demo has.

        Raises:
            ExistsError: Something else lies in the folder.
        """
        settings = {"model": self.model, "device": self.device, "alpha": ALPHA, "continuations": CONTINUATIONS}
        texts.prepare(self.folder, settings)

    @property
    def run_folder(self) -> RunFolder:
        """Of the comparison."""
        return RunFolder(self.folder / "run")

    def steps(self) -> Iterator[Step]:
        """The steps, in order; one is to be done before the next one is taken.

        Each can be repeated: what is there already is not made anew.
        """
        others = texts.LANGUAGES[1:]
        named = " and ".join(f"{texts.NAMES[language]} ({language})" for language in others)
        yield Step("model", f"The model {self.model}", (), self._model)
        yield Step(
            "build",
            "Two datastores of English text: a rude one, and a kind one",
            (
                *self._writing("build", texts.FIRST_LANGUAGE),
                *(f"goodctl datastore tag {side} {FIRST_VERSION}" for side in texts.SIDES),
            ),
            self._build,
        )
        yield Step("run", "The same prompts, unsteered and steered", (self._run_command(),), self._run)
        yield Step(
            "add",
            f"More languages: {named}. Nothing is built anew",
            tuple(command for language in others for command in self._writing("add", language)),
            self._add,
        )
        yield Step(
            "look",
            "What the rude store is now",
            ("goodctl datastore log toxic", "goodctl datastore inspect toxic"),
            self._look,
        )
        yield Step("continue", "A continuation in each language", (self._continue_command(),), self._continue)

    def settings(self) -> RunSettings:
        """Of the comparison, over the stores before languages were added."""
        stores = {side: f"{self._store(side)}@{FIRST_VERSION}" for side in texts.SIDES}
        return RunSettings(
            prompts=str(self.folder / texts.PROMPTS),
            with_base=True,
            model=self.model,
            device=self.device,
            toxic=(stores["toxic"],),
            nontoxic=(stores["nontoxic"],),
            alpha=ALPHA,
            k=self._neighbors(),
            num_return_sequences=CONTINUATIONS,
            scorer=SCORER,
            perplexity_model=self.model,
        )

    def _store(self, side: str) -> str:
        return str(self.folder / side)

    def _neighbors(self) -> int:
        """Neighbours of a query that fit the rows of a language, whatever a user adds later."""
        stores = [Datastore.open(f"{self._store(side)}@{FIRST_VERSION}") for side in texts.SIDES]
        rows = min(segment.rows for store in stores for segment in store.segments)
        return max(1, min(MOST_NEIGHBORS, rows // MOST_SHARE))

    def _model(self, control: RunControl) -> str:
        """Find the model, and unpack it where it is packed; gives its place."""
        return str(resolve(self.model, report=control.report).folder)

    def _writing(self, command: str, language: str) -> tuple[str, ...]:
        model = f" --model {shlex.quote(self.model)}" if command == "build" else ""
        return tuple(
            f"goodctl datastore {command} {side} {texts.text_name(language, side)}{model} --language {language} "
            f"--label {side}"
            for side in texts.SIDES
        )

    def _build(self, control: RunControl) -> Built:
        chosen = ModelChoice(self.model, device=self.device)
        built = self._written(
            [texts.FIRST_LANGUAGE],
            lambda side, text: build(self._store(side), text, chosen, running=_running(control, side, text)),
        )
        for store in map(self._store, texts.SIDES):
            if FIRST_VERSION not in {tag.name for tag in tags(store)}:
                create_tag(store, FIRST_VERSION)
        return built

    def _add(self, control: RunControl) -> Built:
        where = ModelChoice(device=self.device)
        return self._written(
            texts.LANGUAGES[1:],
            lambda side, text: add(self._store(side), text, where, running=_running(control, side, text)),
        )

    def _written(self, languages: Sequence[str], write: Callable[[str, Text], WriteResult]) -> Built:
        """Write languages to both stores; a store that has a text already stays as it is."""
        written: dict[str, tuple[WriteResult, ...]] = {}
        for language in languages:
            for side in texts.SIDES:
                corpus = Corpus((str(self.folder / texts.text_name(language, side)),), language=language)
                try:
                    result = write(side, Text(corpus, label=side))
                    written[side] = (*written.get(side, ()), result)
                except ConflictError:
                    raise
                except ExistsError:
                    continue
        return Built(written, {side: Datastore.open(self._store(side)).rows for side in texts.SIDES})

    def _run_command(self) -> str:
        settings = self.settings()
        return (
            f"goodctl run {texts.PROMPTS} --toxic toxic@{FIRST_VERSION} --nontoxic nontoxic@{FIRST_VERSION} "
            f"--model {shlex.quote(self.model)} --k {settings.k} --alpha {settings.alpha:g} "
            f"--num-return-sequences {CONTINUATIONS} --with-base "
            f"--scorer {SCORER} --perplexity-model {shlex.quote(self.model)} --out {self.run_folder.path.name}"
        )

    def _run(self, control: RunControl) -> RunResult:
        return run(self.settings(), str(self.run_folder.path), control)

    def _look(self, _control: RunControl) -> Looked:
        return Looked(log(self._store("toxic")), summary(Datastore.open(self._store("toxic"))))

    def _continue_command(self) -> str:
        return (
            f"goodctl generate {texts.LANGUAGE_PROMPTS} --toxic toxic --nontoxic nontoxic --k {self._neighbors()} "
            f"--num-return-sequences 1 --explain {len(texts.LANGUAGES)} --out languages.steered.jsonl"
        )

    def _continue(self, control: RunControl) -> tuple[Continued, ...]:
        steering = SteeringChoice(
            toxic=(self._store("toxic"),), nontoxic=(self._store("nontoxic"),), k=self._neighbors()
        )
        plain = _lines(Path(self._continued("base", SteeringChoice(BASE), control).out))
        explained = _lines(self._continued("steered", steering, control).explanations)
        return tuple(
            Continued(line["lang"], line["generations"][0], each) for line, each in zip(plain, explained, strict=True)
        )

    def _continued(self, side: str, steering: SteeringChoice, control: RunControl) -> GenerateChoice:
        """Continue the prompts of all languages; anew where the stores are others than last time."""
        choice = GenerateChoice(
            str(self.folder / texts.LANGUAGE_PROMPTS),
            str(self.folder / f"languages.{side}.jsonl"),
            Sampling(1),
            explain=0 if steering.method == BASE else len(texts.LANGUAGES),
        )
        model = ModelChoice(self.model, device=self.device)
        running = GenerateRun(control.interruption, control.report)
        try:
            generate(choice, steering, model, running)
        except ConflictError:
            raise
        except ExistsError:
            generate(replace(choice, overwrite=True), steering, model, running)
        return choice


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _running(control: RunControl, side: str, text: Text) -> Running:
    """Stages under the name of what is written: each store and language has its own."""
    report = headed(control.report, f"{side}, {text.corpus.language}")
    return Running(interruption=control.interruption, report=report)
