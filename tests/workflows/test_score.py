from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goodctl.errors import GoodctlError, InputError, Interrupted, ServiceError
from goodctl.progress import Progress
from goodctl.scoring.calibration import Calibration, CalibrationMap
from goodctl.scoring.protocol import Failed, Identity, NotScored, Outcome, Request, Scored, ScorerOptions
from goodctl.workflows.score import score
from goodctl.workflows.score_choice import ScoreRun
from goodctl.workflows.score_output import perspective_line
from tests.fakes.scorers import FakeScorer, expected
from tests.workflows.scoring import Scoring, read_lines, scored

LINES: list[dict[str, Any]] = [
    {"prompt": {"text": "P", "toxicity": 0.5}, "lang": "en", "generations": ["a", "b", "a"]},
    {"prompt": "Q", "lang": "de", "generations": ["a", ""]},
    {"prompt": "R", "lang": "en", "error": "no tokens", "generations": []},
]
BOTH = ScorerOptions(("toxicity", "insult"))


def test_lines_come_back_with_each_text_scored(tmp_path: Path) -> None:
    scoring, scorer = Scoring(tmp_path, LINES), FakeScorer()
    result = scoring.run(scorer)
    assert read_lines(scoring.out) == [
        {**LINES[0], "generations": [scored("a"), scored("b"), scored("a")]},
        {**LINES[1], "generations": [scored("a"), {"text": "", "toxicity": None, "reason": "empty"}]},
        LINES[2],
    ]
    assert sorted((each.text, each.language) for each in scorer.asked) == [("a", "de"), ("a", "en"), ("b", "en")]
    assert result.counts.to_dict() == {
        "texts": 5, "distinct": 4, "scored": 4, "not_scored": {"empty": 1}, "failed": {},
    }  # fmt: skip
    assert result.asked == 4
    assert result.error is None
    assert scorer.closed == 1
    assert sorted(scoring.files) == ["in.jsonl", "out.jsonl", "out.jsonl.journal", "out.jsonl.manifest.json"]


def test_the_manifest_says_who_what_and_when(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES, options=BOTH, language_field="lang")
    scoring.run(FakeScorer(("toxicity", "insult"), lacking={"de": ("insult",)}))
    manifest = scoring.manifest
    assert (manifest["format"], manifest["format_version"]) == ("goodctl-scores", 1)
    assert manifest["scorer"] == {"scorer": "fake", "version": "1", "details": {}}
    assert manifest["attributes"] == ["toxicity", "insult"]
    assert manifest["date"]["begin"] <= manifest["date"]["end"]
    assert manifest["date"]["end"].endswith("+00:00")
    assert manifest["input"]["records"] == 3
    assert manifest["settings"]["language_field"] == "lang"
    assert manifest["dropped_attributes"] == {"de": ["insult"]}
    assert (manifest["texts"], manifest["distinct"], manifest["scored"]) == (5, 4, 4)
    assert manifest["not_scored"] == {"empty": 1}
    assert manifest["failed"] == {}
    assert manifest["versions"]["goodctl"]
    assert any("de get no insult" in note for note in scoring.notes)
    german = read_lines(scoring.out)[1]["generations"]
    assert german[0] == {"text": "a", "toxicity": expected("a"), "insult": None}
    assert german[1] == {"text": "", "toxicity": None, "insult": None, "reason": "empty"}


def test_the_same_again_asks_nothing_and_writes_nothing(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    first = scoring.run()
    before, scorer = scoring.files, FakeScorer()
    again = scoring.run(scorer)
    assert scorer.asked == []
    assert again.finished_before
    assert not first.finished_before
    assert again.counts == first.counts
    assert scoring.files == before


class Stopping(FakeScorer):
    """Raises after some answers."""

    def __init__(self, after: int, error: BaseException) -> None:
        super().__init__(batch=2)
        self._after, self._error = after, error

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        for number, answer in enumerate(super().outcomes(requests)):
            if number == self._after:
                raise self._error
            yield answer


TWENTY = [{"text": f"text {number}"} for number in range(20)]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ServiceError("403: the key is rejected"), ServiceError),
        (KeyboardInterrupt(), Interrupted),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_what_was_answered_before_an_end_is_not_asked_again(
    tmp_path: Path, error: BaseException, raised: type[BaseException]
) -> None:
    scoring, stopped = Scoring(tmp_path, TWENTY), Stopping(7, error)
    with pytest.raises(raised) as caught:
        scoring.run(stopped)
    if raised is Interrupted:
        assert "7 answers" in str(caught.value)
    assert not scoring.out.exists()
    assert stopped.closed == 1
    rest = FakeScorer()
    result = scoring.run(rest)
    assert len(rest.asked) == 20 - 7
    assert result.asked == 13
    assert read_lines(scoring.out) == [{"text": scored(each["text"])} for each in TWENTY]


def test_failures_are_listed_stay_null_and_are_asked_again(tmp_path: Path) -> None:
    def fault(request: Request, before: int) -> Outcome | None:
        number = int(request.text.split()[1])
        if number in {3, 4} and not before:
            return Failed("server", "500 Internal Server Error")
        return Failed("rate_limited", "429") if number == 5 and before < 2 else None

    scoring, scorer = Scoring(tmp_path, [*TWENTY, TWENTY[3]]), FakeScorer(fault=fault)
    first = scoring.run(scorer)
    assert first.counts.failed == {"server": 3, "rate_limited": 1}
    assert first.error is not None
    assert first.error.exit_code == 5
    assert "4 of 21 texts" in first.error.message
    assert "server 3, rate_limited 1" in first.error.message
    server = first.failures[0].to_dict()
    place = str(scoring.texts)
    assert server["places"] == [f"{place}:4", f"{place}:5", f"{place}:21"]
    assert (server["reason"], server["texts"], server["tries"]) == ("server", 3, 1)
    assert read_lines(scoring.out)[3] == {"text": {"text": "text 3", "toxicity": None, "reason": "server"}}
    assert scoring.manifest["failed"] == {"server": 3, "rate_limited": 1}
    assert first.to_dict()["error"]["kind"] == "service"
    asked = len(scorer.asked)
    second = scoring.run(scorer)
    assert len(scorer.asked) == asked + 3, "a text that failed is asked once in a run, however often it is there"
    assert second.counts.failed == {"rate_limited": 1}
    assert second.failures[0].tries == 2
    third = scoring.run(scorer)
    assert third.error is None
    assert "error" not in third.to_dict()
    assert read_lines(scoring.out)[20] == {"text": scored("text 3")}
    assert len(scorer.asked) == asked + 4


def test_texts_that_will_never_have_a_score_are_not_asked_again(tmp_path: Path) -> None:
    def fault(request: Request, before: int) -> Outcome | None:
        if request.text == "text 1":
            return NotScored("too_long", "The text is too long.")
        return Failed("timeout", "slow") if request.text == "text 2" else None

    scoring, scorer = Scoring(tmp_path, TWENTY), FakeScorer(fault=fault)
    scoring.run(scorer)
    scorer.asked.clear()
    result = scoring.run(scorer)
    assert [each.text for each in scorer.asked] == ["text 2"]
    assert result.counts.not_scored == {"too_long": 1}


def test_scores_go_through_a_calibration(tmp_path: Path) -> None:
    steps = CalibrationMap((0.0, 1.0), (0.5, 0.5), 9)
    calibration = Calibration("toxicity", Identity("fake", "0"), None, {"*": steps})
    (tmp_path / "map.json").write_text(json.dumps(calibration.to_dict()))
    scoring = Scoring(tmp_path, [{"text": "a"}], options=BOTH)
    first, scorer = scoring.run(), FakeScorer(("toxicity", "insult"))
    with_map = scoring.run(scorer, calibration=str(tmp_path / "map.json"), overwrite=True)
    assert scorer.asked == [], "a calibration needs no new answers"
    assert (first.calibrated, with_map.calibrated) == (False, True)
    value = expected("a")
    assert read_lines(scoring.out) == [
        {"text": {"text": "a", "toxicity": 0.5, "insult": expected("a", "insult"), "toxicity_uncalibrated": value}}
    ]
    assert any("another scorer: version: 0 → 1" in note for note in scoring.notes)
    assert scoring.manifest["calibration"]["from"]["version"] == "0"
    scoring.texts.write_bytes(scoring.out.read_bytes())
    scoring.run(overwrite=True)
    (line,) = read_lines(scoring.out)
    assert line == {"text": {"text": "a", "toxicity": value, "insult": expected("a", "insult")}}, "no trace of the map"


@pytest.mark.parametrize("has_raw", [True, False])
def test_answers_in_perspectives_form(tmp_path: Path, has_raw: bool) -> None:
    def fault(request: Request, before: int) -> Outcome | None:
        return Failed("server", "500") if request.text == "b" else None

    scoring = Scoring(tmp_path, LINES, options=ScorerOptions(raw=True), emit="perspective")
    result = scoring.run(FakeScorer(fault=fault, raw=has_raw))
    assert result.answers is not None
    found = read_lines(result.answers)
    assert [line["request_id"] for line in found] == ["0", "1", "2", "3", "4"]
    assert [line["error"] for line in found] == [None, "server: 500", None, None, "empty: The text is empty."]
    assert [line["response"] is None for line in found] == [False, True, False, False, True]
    made = {"TOXICITY": {"summaryScore": {"value": expected("a"), "type": "PROBABILITY"}}}
    answer = {"attributeScores": {"text": "a"}} if has_raw else {"attributeScores": made, "languages": ["en"]}
    assert found[0] == found[2] | {"request_id": "0"} == {"request_id": "0", "response": answer, "error": None}


def test_answers_that_are_wanted_later_are_asked_for(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    scorer = FakeScorer(raw=True)
    scoring.run(scorer, emit="perspective", options=ScorerOptions(raw=True), overwrite=True)
    assert len(scorer.asked) == 3
    without = FakeScorer()
    scoring.run(without, overwrite=True)
    assert without.asked == []


def test_a_score_is_not_lost_where_asking_for_the_answer_fails(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    scoring.run()
    before = read_lines(scoring.out)

    def fault(request: Request, before: int) -> Outcome | None:
        return Failed("server", "500") if request.text == "a" else NotScored("rejected", "no")

    wanted = {"emit": "perspective", "options": ScorerOptions(raw=True)}
    result = scoring.run(FakeScorer(fault=fault, raw=True), **wanted, overwrite=True)
    assert read_lines(scoring.out) == before
    assert {failure.reason for failure in result.failures} == {"answer_lost"}
    assert result.error is not None
    again = FakeScorer(raw=True)
    assert scoring.run(again, **wanted).error is None
    assert {request.text for request in again.asked} == {"a", "b"}


def test_an_answer_of_another_form_stands_beside_the_scores(tmp_path: Path) -> None:
    line = perspective_line(3, Scored({"toxicity": 0.25}, {"logits": {"toxic": -1.0}}), "en")
    summary = {"summaryScore": {"value": 0.25, "type": "PROBABILITY"}}
    response = {"attributeScores": {"TOXICITY": summary}, "languages": ["en"], "logits": {"toxic": -1.0}}
    assert line == {"request_id": "3", "response": response, "error": None}


def test_numbers_that_json_lacks_are_null_in_answers(tmp_path: Path) -> None:
    def fault(request: Request, before: int) -> Outcome:
        return Scored({"toxicity": 0.5}, {"logits": [float("nan"), float("-inf"), 1.0]})

    scoring = Scoring(tmp_path, LINES, options=ScorerOptions(raw=True), emit="perspective")
    result = scoring.run(FakeScorer(fault=fault))
    assert result.answers is not None
    text = Path(result.answers).read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text.splitlines()[0])["response"]["logits"] == [None, None, 1.0]


def test_a_rescored_file_keeps_what_is_not_scores(tmp_path: Path) -> None:
    old = {"text": "a", "toxicity": None, "reason": "server", "note": "kept", "toxicity_uncalibrated": 0.1}
    scoring = Scoring(tmp_path, [{"prompt": {"text": "P", "toxicity": 0.5}, "generations": [old]}])
    scoring.run()
    assert read_lines(scoring.out)[0]["generations"] == [{**scored("a"), "note": "kept"}]


def test_texts_in_languages_that_are_not_scored_are_told(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, LINES)
    result = scoring.run(FakeScorer(languages=["en"]))
    assert result.counts.not_scored == {"empty": 1, "language": 1}
    assert "note: fake scores 3 of 5 texts, and none in de" in scoring.notes


def test_a_changed_input_is_noticed(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, TWENTY)

    class Changing(FakeScorer):
        def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
            yield from super().outcomes(requests)
            scoring.texts.write_text('{"text": "text 0"}\n')

    with pytest.raises(InputError, match="has changed"):
        scoring.run(Changing())
    assert not scoring.out.exists()
    assert not list(tmp_path.glob(".*"))
    scorer = FakeScorer()
    scoring.run(scorer)
    assert scorer.asked == []
    assert read_lines(scoring.out) == [{"text": scored("text 0")}]


class Lying(FakeScorer):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        for number, (request, outcome) in enumerate(super().outcomes(requests)):
            match self.what:
                case "another":
                    yield Request("never asked"), outcome
                case "twice":
                    yield request, outcome
                    yield request, outcome
                case "none" if number == 1:
                    continue
                case "none":
                    yield request, outcome
                case value:
                    yield request, Scored({"toxicity": float(value)})


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("another", "not asked about"),
        ("twice", "one twice"),
        ("none", "left 1 texts"),
        ("nan", "score nan"),
        ("1.5", "score 1.5"),
        ("-0.1", "score -0.1"),
    ],
)
def test_a_scorer_that_does_not_keep_to_the_protocol_is_named(tmp_path: Path, what: str, words: str) -> None:
    scoring = Scoring(tmp_path, TWENTY)
    with pytest.raises(GoodctlError, match=words) as raised:
        scoring.run(Lying(what))
    assert "fake" in raised.value.message
    assert not scoring.out.exists()


def test_rounding_is_forgiven(tmp_path: Path) -> None:
    scoring = Scoring(tmp_path, [{"text": "a"}])
    scoring.run(Lying("1.0000001"))
    assert read_lines(scoring.out)[0]["text"]["toxicity"] == 1.0


def test_progress_counts_texts_to_the_end(tmp_path: Path) -> None:
    events: list[Progress] = []
    scoring = Scoring(tmp_path, [*TWENTY, *TWENTY])
    score(scoring.choice, ScoreRun(events.append, lambda name, options: FakeScorer()))
    ends = {event.stage: event for event in events if event.finished}
    assert list(ends) == ["reading", "scoring", "writing"]
    assert (ends["scoring"].done, ends["scoring"].total, ends["scoring"].unit) == (40, 40, "texts")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
languages = st.sampled_from(["en", "de", None])


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.tuples(st.lists(texts, max_size=3), languages, st.integers()), min_size=1, max_size=6),
    st.lists(st.integers(0, 6), max_size=3),
    st.sets(texts, max_size=2),
)
def test_whatever_happens_the_output_is_the_input_with_scores(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], stops: list[int], failing: set[str]
) -> None:
    lines = [{"lang": language, "id": number, "generations": found} for found, language, number in records]
    scoring = Scoring(tmp_path_factory.mktemp("s"), lines)
    different = {(text, line["lang"]) for line in lines for text in line["generations"]}
    if not different:
        with pytest.raises(InputError):
            scoring.run()
        return
    answered: list[tuple[str, str | None]] = []

    class Flaky(FakeScorer):
        def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
            for number, (request, outcome) in enumerate(super().outcomes(requests)):
                if stops and number == stops[-1]:
                    stops.pop()
                    raise ServiceError("stopped")
                if not isinstance(outcome, Failed):
                    answered.append((request.text, request.language))
                yield request, outcome

    failed: set[tuple[str, str | None]] = set()

    def fault(request: Request, before: int) -> Outcome | None:
        key = (request.text, request.language)
        if request.text in failing and key not in failed:
            failed.add(key)
            return Failed("server", "500")
        return None

    for _ in range(len(stops) + 3):
        try:
            result = scoring.run(Flaky(fault=fault))
        except ServiceError:
            continue
        if result.error is None:
            break
    assert len(answered) == len(set(answered)), "nothing is asked twice"
    assert set(answered) == different, "nothing is lost"
    assert result.counts.texts == sum(len(line["generations"]) for line in lines)
    assert result.counts.distinct == len(different)
    for line, out in zip(lines, read_lines(scoring.out), strict=True):
        without = {"toxicity": None, "reason": "empty"}
        texts = [scored(text) if text.strip() else {"text": text, **without} for text in line["generations"]]
        assert out == {**line, "generations": texts}
