from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from goodctl.errors import (
    ConflictError,
    DamagedError,
    ExistsError,
    GoodctlError,
    InputError,
    NotFoundError,
    ServiceError,
    UsageError,
)
from goodctl.scoring.protocol import Failed, Outcome, Request, ScorerOptions
from goodctl.workflows.journal import Journal
from goodctl.workflows.lines import alone
from goodctl.workflows.score_choice import ScoreChoice
from tests.fakes.scorers import FakeScorer
from tests.workflows.scoring import Scoring, read_lines, scored, write_lines

LINES = [{"text": "a", "body": "b", "lang": "en"}, {"text": "c", "body": "d", "lang": "de"}]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"text_field": "body"}, "text_field: none → body"),
        ({"language": "en"}, "language: none → en"),
        ({"language_field": "lang"}, "language_field: none → lang"),
        ({"options": ScorerOptions(("toxicity", "insult"))}, "attributes: toxicity → toxicity, insult"),
        ({"emit": "perspective", "options": ScorerOptions(raw=True)}, "emit: none → perspective"),
    ],
)
def test_other_settings_are_refused_and_change_nothing(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    before = scoring.files
    with pytest.raises(ExistsError) as raised:
        scoring.run(**changed)
    assert words in raised.value.message
    assert raised.value.hint is not None
    assert "--overwrite" in raised.value.hint
    assert scoring.files == before
    scoring.run(**changed, overwrite=True)
    assert scoring.run(**changed).finished_before


def test_other_texts_are_refused_and_answers_are_kept(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    write_lines(scoring.texts, [*LINES, {"text": "new"}])
    with pytest.raises(ExistsError, match="texts: "):
        scoring.run()
    scorer = FakeScorer()
    scoring.run(scorer, overwrite=True)
    assert [each.text for each in scorer.asked] == ["new"]
    assert read_lines(scoring.out)[2] == {"text": scored("new")}


def test_texts_may_change_while_there_is_no_output(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    scoring.out.unlink()
    write_lines(scoring.texts, [*LINES, {"text": "new"}])
    scorer = FakeScorer()
    scoring.run(scorer)
    assert [each.text for each in scorer.asked] == ["new"]


def test_a_renamed_input_is_the_same(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    moved = scoring.texts.rename(tmp_path / "moved.jsonl")
    assert scoring.run(texts=str(moved)).finished_before


def test_another_scorers_answers_are_refused_and_overwritten(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    before = scoring.files
    other = FakeScorer(version="2")
    with pytest.raises(ExistsError, match="version: 1 → 2"):
        scoring.run(other)
    assert scoring.files == before
    scoring.out.unlink()
    scoring.choice.manifest.unlink()
    with pytest.raises(ExistsError, match="answers of another scorer: version: 1 → 2") as raised:
        scoring.run(other)
    assert raised.value.hint is not None
    assert "--overwrite" in raised.value.hint
    assert other.asked == []
    scoring.run(other, overwrite=True)
    assert len(other.asked) == 2
    assert scoring.manifest["scorer"]["version"] == "2"


def no_journal(path: Path) -> None:
    path.write_text("notes of mine\n")


def other_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE mine (x)")


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 5000)


@pytest.mark.parametrize(
    ("make", "error"), [(no_journal, InputError), (other_database, InputError), (damaged, DamagedError)]
)
def test_what_is_no_journal_is_refused_and_overwritten(
    tmp_path: Path, make: Callable[[Path], None], error: type[GoodctlError]
) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run(FakeScorer(fault=lambda request, before: Failed("server", "500")))
    make(scoring.choice.journal)
    before = scoring.files
    with pytest.raises(error, match="journal") as raised:
        scoring.run()
    assert raised.value.hint is not None
    assert "--overwrite" in raised.value.hint
    assert scoring.files == before
    assert scoring.run(overwrite=True).counts.scored == 2


def test_an_output_of_unknown_making_is_refused_whatever_is_asked(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.out.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ExistsError, match="no manifest says how it was made"):
            scoring.run(overwrite=overwrite)
    assert scoring.out.read_text() == "mine"


def test_the_output_of_another_command_is_refused_whatever_is_asked(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.out.write_text("mine")
    scoring.choice.manifest.write_text('{"format": "goodctl-run"}')
    for overwrite in (False, True):
        with pytest.raises(InputError, match="no manifest of scores"):
            scoring.run(overwrite=overwrite)
    assert scoring.out.read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.pop("counts", None) or stored.pop("texts"),
        lambda stored: stored.update(texts=-1),
        lambda stored: stored.update(not_scored={"empty": "1"}),
        lambda stored: stored.update(date="today"),
        lambda stored: stored.update(scorer=None),
        lambda stored: stored["input"].pop("sha256"),
    ],
)
def test_a_damaged_manifest_is_refused_and_overwritten(tmp_path: Path, change: Callable[[Any], object]) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    stored = scoring.manifest
    change(stored)
    scoring.choice.manifest.write_text(json.dumps(stored))
    with pytest.raises(DamagedError, match="damaged"):
        scoring.run()
    scorer = FakeScorer()
    assert scoring.run(scorer, overwrite=True).counts.scored == 2
    assert scorer.asked == []


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.journal", "out.jsonl.manifest.json"])
def test_the_texts_are_never_written_over(tmp_path: Path, name: str) -> None:
    scoring = Scoring(tmp_path, LINES)
    os.link(scoring.texts, tmp_path / name)
    with pytest.raises(UsageError, match="is the file of the texts"):
        scoring.run(overwrite=True)
    assert read_lines(scoring.texts) == LINES


def test_a_link_is_no_output(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.out.symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(UsageError, match="no plain file"):
        scoring.run(overwrite=True)


def test_two_runs_of_one_output_are_refused(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    with alone(scoring.out), pytest.raises(ConflictError, match="Another run"):
        scoring.run()


def test_an_open_journal_is_never_discarded(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    with closing(sqlite3.connect(scoring.choice.journal)) as sql:
        sql.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConflictError):
            scoring.run(overwrite=True)
    assert scoring.run(FakeScorer(), overwrite=True).asked == 0


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        ([], InputError, "no text: it has no records"),
        ([{"generations": []}], InputError, "no text: every 'generations' is empty"),
        ([{"text": "a"}, {"txt": "b"}], InputError, "in.jsonl:2"),
        ([{"text": "a"}, {"text": 1}], InputError, "in.jsonl:2"),
    ],
)
def test_bad_texts_change_nothing(tmp_path: Path, lines: list[Any], error: type[GoodctlError], words: str) -> None:
    scoring, scorer = Scoring(tmp_path, lines), FakeScorer()
    with pytest.raises(error, match=words):
        scoring.run(scorer)
    assert list(scoring.files) == ["in.jsonl"]
    assert scorer.asked == []
    assert scorer.closed == 1


@pytest.mark.parametrize(
    ("lines", "languages", "words", "hint"),
    [
        ([{"text": "a"}], ["en"], "language is unknown", "--language en"),
        ([{"text": "a", "lang": "de"}, {"text": "b", "lang": "fr"}], ["en"], "which are in de, fr", "route:FILE"),
        ([{"text": "a", "lang": f"x{n}"} for n in range(12)], ["en"], "and 2 more", "route:FILE"),
        ([{"text": "a"}, {"text": "b", "lang": "fr"}], ["en"], "an unknown language, fr", "route:FILE"),
    ],
)
def test_texts_of_which_none_would_be_scored_are_refused(
    tmp_path: Path, lines: list[Any], languages: list[str], words: str, hint: str
) -> None:
    scoring, scorer = Scoring(tmp_path, lines), FakeScorer(languages=languages)
    with pytest.raises(UsageError) as raised:
        scoring.run(scorer)
    assert words in raised.value.message
    assert raised.value.hint is not None
    assert hint in raised.value.hint
    assert list(scoring.files) == ["in.jsonl"]


def test_a_language_field_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    with pytest.raises(InputError, match="no record has the language field 'tongue'"):
        scoring.run(language_field="tongue")


def test_a_calibration_of_another_attribute_is_refused(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    maps = {"*": {"x": [0.5], "y": [0.5], "texts": 1}}
    stored = {"format": "goodctl-calibration", "format_version": 1, "attribute": "insult", "maps": maps}
    (tmp_path / "map.json").write_text(json.dumps(stored))
    with pytest.raises(UsageError, match="calibration of insult") as raised:
        scoring.run(calibration=str(tmp_path / "map.json"))
    assert raised.value.hint == "Ask for it: --attributes TOXICITY,INSULT"
    with pytest.raises(NotFoundError):
        scoring.run(calibration=str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"out": ""}, "--out"),
        ({"out": "."}, "--out"),
        ({"out": "a.csv"}, "JSON Lines"),
        ({"out": "a.jsonl.gz"}, "JSON Lines"),
        ({"emit": "csv"}, "--emit 'csv'"),
        ({"options": ScorerOptions(rate=0)}, "--rate 0"),
        ({"options": ScorerOptions(rate=float("nan"))}, "--rate nan"),
        ({"options": ScorerOptions(batch_tokens=-1)}, "--batch-tokens -1"),
        ({"options": ScorerOptions(attributes=())}, "No attribute"),
    ],
)
def test_choices_that_mean_nothing(choice: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        ScoreChoice(**{"texts": "a.jsonl", "scorer": "fake", "out": "b.jsonl", **choice})
    assert raised.value.hint


def test_a_full_disk_loses_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring, scorer = Scoring(tmp_path, LINES), FakeScorer()
    real = Path.replace

    def full(self: Path, target: Path) -> Path:
        if self.name == ".out.jsonl.part":
            raise OSError(28, "No space left on device")
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(GoodctlError, match="No space left"):
            scoring.run(scorer)
    assert not scoring.out.exists()
    assert not list(tmp_path.glob(".*"))
    assert len(scorer.asked) == 2
    scoring.run(scorer)
    assert len(scorer.asked) == 2


class Rejected(FakeScorer):
    """Answers some texts and then says that its key is bad."""

    def __init__(self, answers: int, **options: Any) -> None:
        super().__init__(batch=1, **options)
        self._answers = answers

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        yield from islice(super().outcomes(requests), self._answers)
        raise ServiceError("The key is rejected.", hint="Export another one.")


def test_a_scorer_that_cannot_answer_leaves_nothing(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    with pytest.raises(ServiceError, match="key"):
        scoring.run(Rejected(0))
    assert list(scoring.files) == ["in.jsonl"]
    assert scoring.run(FakeScorer(version="2")).counts.scored == 2  # nothing of the first one stands in the way


@pytest.mark.parametrize("answers", [0, 1])
def test_an_output_stays_until_another_scorer_has_answered(tmp_path: Path, answers: int) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    before = scoring.files
    with pytest.raises(ServiceError, match="key"):
        scoring.run(Rejected(answers, version="2"), overwrite=True)
    after = scoring.files
    for name in ("out.jsonl", "out.jsonl.manifest.json", "in.jsonl"):
        assert after[name] == before[name]
    assert after["out.jsonl.journal"] == before["out.jsonl.journal"]
    assert ("out.jsonl.journal.next" in after) == bool(answers)
    first, second = FakeScorer(), FakeScorer(version="2")
    if answers:  # that answer is kept, and is asked for no more
        assert scoring.run(second, overwrite=True).counts.scored == 2
        assert len(second.asked) == 1
        assert scoring.files.keys() == before.keys()
    else:
        assert scoring.run(first, overwrite=True).asked == 0


def test_a_kill_while_a_journal_takes_anothers_place_loses_nothing(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run(FakeScorer(version="2"))
    scoring.choice.journal.rename(scoring.choice.next_journal)  # the old one is gone, the new one not there yet
    scoring.out.unlink()
    scorer = FakeScorer(version="2")
    assert scoring.run(scorer, overwrite=True).counts.scored == 2
    assert scorer.asked == []
    assert not scoring.choice.next_journal.exists()


def test_a_full_disk_leaves_the_journal_of_another_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    before = scoring.files

    def full(_journal: Journal) -> None:
        raise ServiceError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "commit", full)
        with pytest.raises(ServiceError, match="full"):
            scoring.run(FakeScorer(version="2"), overwrite=True)
    assert {name: scoring.files[name] for name in before} == before
