"""Scoring the texts of a file: each different text is asked about once, and no answer is ever lost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goodctl.corpus.passages import PassageFile
from goodctl.errors import Interrupted, ServiceError, UsageError
from goodctl.progress import Progress
from goodctl.scoring.calibration import Calibration, read_calibration
from goodctl.scoring.protocol import Identity, Scorer, warnings_of
from goodctl.workflows.answers import Keys
from goodctl.workflows.asking import Asking
from goodctl.workflows.journal import Journal
from goodctl.workflows.lines import alone, discard, prepare_folder
from goodctl.workflows.manifest import now
from goodctl.workflows.score_choice import ScoreChoice, ScoreRun
from goodctl.workflows.score_manifest import Counts, ScoreManifest
from goodctl.workflows.score_output import NO_ANSWER, Failure, ScoreOutput, remaining
from goodctl.workflows.score_scan import Scan, dropped, scan, unscored_languages
from goodctl.workflows.score_start import answering, begun, is_finished, refuse_foreign


@dataclass(frozen=True)
class ScoreResult:
    """What was scored.

    Attributes:
        out: The output.
        manifest: How it was made, beside it.
        journal: The scorer's answers.
        answers: The answers in Perspective's form, or None.
        scorer: Who scored.
        attributes: What was scored.
        counts: What became of the texts.
        asked: About how many texts this run has asked the scorer.
        failures: By reason, where texts have no score because a request failed.
        dropped_attributes: Language to the attributes that its texts do not get.
        calibrated: Whether scores went through a calibration.
        finished_before: Whether the output was there already, and nothing was done.
        seconds: Of this run, loading included.
        asking_seconds: Of this run, with the scorer at work.
    """

    out: str
    manifest: str
    journal: str
    answers: str | None
    scorer: Identity
    attributes: tuple[str, ...]
    counts: Counts
    asked: int
    failures: tuple[Failure, ...]
    dropped_attributes: Mapping[str, list[str]]
    calibrated: bool
    finished_before: bool
    seconds: float
    asking_seconds: float

    @property
    def error(self) -> ServiceError | None:
        """What to end with while requests have failed."""
        if not self.failures:
            return None
        failed = {failure.reason: failure for failure in self.failures}
        lost = failed.pop(NO_ANSWER, None)
        said = []
        if failed:
            count, reasons = sum(each.texts for each in failed.values()), ", ".join(remaining(failed))
            said.append(
                f"{count:,} of {self.counts.texts:,} texts have no score, since their requests failed: {reasons}."
            )
        if lost is not None:
            said.append(f"Of {lost.texts:,} texts the scorer's own answer could not be had; their scores are kept.")
        return ServiceError(
            " ".join(said),
            hint="Run the same command again: only these are asked again.",
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; with a member ``error`` while requests have failed."""
        error = self.error
        return {
            **vars(self),
            "scorer": self.scorer.to_dict(),
            "counts": self.counts.to_dict(),
            "failures": [failure.to_dict() for failure in self.failures],
            **({} if error is None else error.to_dict()),
        }


def score(choice: ScoreChoice, running: ScoreRun | None = None) -> ScoreResult:
    """Score the texts of a file.

    Answers are kept in a journal beside the output as they come. Stopped at any moment and called again with the same
    arguments, it asks about nothing that was answered before, and about what has failed. The output is written at the
    end, whole. Texts whose requests failed have no score in it and a reason; ``ScoreResult.error`` says so.

    Args:
        choice: Texts, scorer, output.
        running: Who sees progress, and who opens scorers.

    Raises:
        UsageError: The call is wrong, or the scorer scores none of these languages.
        InputError: The texts cannot be read.
        ExistsError: The output or its journal is of other settings or of another scorer, or another run is writing it.
        ServiceError: The disk does not suffice, or what the scorer says of all texts, such as a rejected key.
        Interrupted: Stopped on request; what was answered is kept.
    """
    running = running or ScoreRun()
    source = PassageFile.find(choice.texts, choice.text_field, choice.language, choice.language_field)
    refuse_foreign(choice, source)
    calibration = calibration_of(choice)
    with closing(running.open_scorer(choice.scorer, choice.options)) as scorer, alone(Path(choice.out)):
        return _Job(choice, running, source, calibration, scorer, time.monotonic()).run()


def calibration_of(choice: ScoreChoice) -> Calibration | None:
    """The map that scores go through, if one is asked for.

    Raises:
        UsageError: It is of an attribute that is not asked for.
        InputError: The file holds none.
    """
    if choice.calibration is None:
        return None
    calibration = read_calibration(choice.calibration)
    if calibration.attribute not in choice.attributes:
        raise UsageError(
            f"{choice.calibration} is a calibration of {calibration.attribute}, which is not asked for.",
            hint=f"Ask for it: --attributes {','.join([*choice.attributes, calibration.attribute]).upper()}",
        )
    return calibration


@dataclass
class _Job:
    """One run."""

    choice: ScoreChoice
    running: ScoreRun
    source: PassageFile
    calibration: Calibration | None
    scorer: Scorer
    started: float
    warned: set[str] = field(default_factory=set)

    def run(self) -> ScoreResult:
        identity, attributes = self.scorer.identity, self.choice.attributes
        if self.calibration is not None and (note := self.calibration.misfit(identity)):
            self._say(note)
        found = scan(self.source, self.running.report)
        if (note := unscored_languages(found, self.scorer)) is not None:
            self._say(note)
        asked = self._manifest(identity, found)
        for language, missing in asked.dropped_attributes.items():
            self._say(f"note: texts in {language} get no {', '.join(missing)}, which {identity.scorer} lacks there")
        manifest, fresh = begun(self.choice, asked)
        if not fresh and is_finished(self.choice, manifest):
            return self._result(manifest, 0, 0.0, {}, finished_before=True)
        prepare_folder(Path(self.choice.out))
        with answering(self.choice, identity) as journal:
            asking = Asking(
                self.source,
                self.scorer,
                attributes,
                self.choice.with_raw,
                journal,
                found.texts,
                self.running.report,
            )
            manifest = replace(manifest, begun_at=journal.begin_run(now()))
            self._warn()
            asking_s = self._ask(asking)
            self._warn()
        with Journal(self.choice.journal, identity) as journal:
            if fresh:  # not before all is answered: a scorer that cannot answer leaves an earlier output as it is
                discard(Path(self.choice.out), self.choice.raw_answers)
                manifest.write(self.choice.manifest)
            output = ScoreOutput(
                self.source,
                found,
                Keys(identity, attributes),
                attributes,
                journal,
                self.calibration,
                self.running.report,
            )
            counts = output.write(Path(self.choice.out), self.choice.raw_answers if self.choice.emit else None)
            manifest = manifest.finished(now(), counts)
            manifest.write(self.choice.manifest)
        return self._result(manifest, asking.asked, asking_s, output.failures)

    def _manifest(self, identity: Identity, found: Scan) -> ScoreManifest:
        calibration = None
        if self.calibration is not None:
            described = self.calibration.to_dict()
            calibration = {"file": self.choice.calibration, "sha256": self.calibration.sha256}
            calibration |= {name: described[name] for name in ("attribute", "from", "to")}
        return ScoreManifest(
            scorer=identity,
            attributes=self.choice.attributes,
            input={"file": found.name, "sha256": found.sha256, "records": found.records},
            settings=self.choice.settings(),
            calibration=calibration,
            begun_at=now(),
            dropped_attributes=dropped(found, self.scorer, self.choice.attributes),
        )

    def _ask(self, asking: Asking) -> float:
        """Ask about what is left; gives the seconds that it took."""
        began = time.monotonic()
        try:
            asking.run()
        except KeyboardInterrupt:
            raise Interrupted(
                f"Stopped. {asking.asked:,} answers of this run are in {self.choice.journal}.",
                hint="Run the same command again: it goes on with the other texts.",
            ) from None
        return time.monotonic() - began

    def _warn(self) -> None:
        """Say what the scorer warns of, and was not said before."""
        for warning in warnings_of(self.scorer):
            if warning not in self.warned:
                self.warned.add(warning)
                self._say(warning)

    def _say(self, note: str) -> None:
        self.running.report(Progress("", note=note))

    def _result(
        self,
        manifest: ScoreManifest,
        asked: int,
        asking_s: float,
        failures: Mapping[str, Failure],
        *,
        finished_before: bool = False,
    ) -> ScoreResult:
        return ScoreResult(
            out=self.choice.out,
            manifest=str(self.choice.manifest),
            journal=str(self.choice.journal),
            answers=str(self.choice.raw_answers) if self.choice.emit else None,
            scorer=manifest.scorer,
            attributes=manifest.attributes,
            counts=manifest.counts,
            asked=asked,
            failures=tuple(failures.values()),
            dropped_attributes=manifest.dropped_attributes,
            calibrated=self.calibration is not None,
            finished_before=finished_before,
            seconds=time.monotonic() - self.started,
            asking_seconds=asking_s,
        )
