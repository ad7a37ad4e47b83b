from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from goodctl.errors import ExistsError, GoodctlError, InputError, NotFoundError, UsageError
from goodctl.progress import Progress
from goodctl.scoring.calibration import read_calibration
from goodctl.workflows.agree import AgreeChoice, AgreeReport, agree
from tests.workflows.scored_files import ANOTHER, LOCAL, generations, two_scorers, write


def compare(first: str, second: str, **more: Any) -> AgreeReport:
    return agree(AgreeChoice(first, second, **more))


def test_texts_meet_by_text_and_language_each_once(tmp_path: Path) -> None:
    one = write(
        tmp_path / "a.jsonl",
        [
            *generations({"en": {"same": 0.9, "no score": None, "only a": 0.1}, "fr": {"same": 0.2}}),
            {"prompt": "again", "lang": "en", "generations": [{"text": "same", "toxicity": 0.9}]},
            {"prompt": "failed", "error": "empty", "generations": []},
        ],
    )
    other = write(
        tmp_path / "b.jsonl",
        generations({"fr": {"same": 0.4, "only b": 0.3}, "en": {"no score": 0.5, "same": 0.7}}),
        ANOTHER,
    )
    found = compare(one, other)
    assert (found.shared, found.unscored, found.total.texts) == (3, 1, 2)
    assert list(found.languages) == ["en", "fr"]
    assert found.languages["en"].difference.value == pytest.approx(-0.2)
    assert found.languages["fr"].difference.value == pytest.approx(0.2)
    assert (found.first.occurrences, found.first.texts, found.first.missing, found.first.only_here) == (5, 4, 1, 1)
    assert (found.second.occurrences, found.second.texts, found.second.only_here) == (4, 4, 1)
    assert (found.first.title, found.second.title) == (found.first.file, "perspective")


def test_prompts_of_generations_are_no_scored_texts(tmp_path: Path) -> None:
    """Their toxicity is of another scorer, and would agree with itself."""
    one, other = two_scorers(tmp_path, {"en": 20})
    assert compare(one, other).total.texts == 20


def test_files_of_other_shapes(tmp_path: Path) -> None:
    shapes: dict[str, list[dict[str, Any]]] = {
        "prompt": [{"prompt": {"text": f"t{n}", "toxicity": n / 10, "insult": 0.5}} for n in range(5)],
        "text": [{"text": {"text": f"t{n}", "toxicity": n / 10}} for n in range(5)],
        "reply": [{"data": {"reply": {"text": f"t{n}", "toxicity": n / 10}}, "text": "x"} for n in range(5)],
    }
    paths = {name: write(tmp_path / f"{name}.jsonl", lines) for name, lines in shapes.items()}
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(Path(paths["text"]).read_bytes()))
    assert compare(paths["prompt"], paths["text"]).total.pearson.value == pytest.approx(1)
    assert compare(paths["prompt"], str(packed)).total.texts == 5
    assert compare(paths["reply"], paths["reply"], text_field="data.reply").total.texts == 5
    with pytest.raises(InputError, match=r"no text has a score 'insult'; scores: toxicity"):
        compare(paths["prompt"], paths["text"], attribute="INSULT")


def test_languages_of_another_column(tmp_path: Path) -> None:
    lines = [{"text": {"text": f"t{n}", "toxicity": 0.1 * n}, "tongue": "ab"[n % 2]} for n in range(6)]
    path = write(tmp_path / "a.jsonl", lines)
    assert list(compare(path, path, language_field="tongue").languages) == ["a", "b"]
    assert list(compare(path, path).languages) == ["und"]


def test_the_order_of_lines_changes_nothing(tmp_path: Path) -> None:
    one, other = two_scorers(tmp_path, {"en": 120, "fr": 30})
    expected = compare(one, other, fit=str(tmp_path / "x.json"))
    for path in (one, other):
        lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
        for line in lines:
            random.Random(path).shuffle(line["generations"])
        write(Path(path), reversed(lines))
    found = compare(one, other, fit=str(tmp_path / "y.json"))
    assert found.total == expected.total
    assert found.languages == expected.languages
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads((tmp_path / "y.json").read_text())


def test_the_map_is_what_score_reads_and_brings_scores_nearer(tmp_path: Path) -> None:
    one, other = two_scorers(tmp_path, {"en": 400, "fr": 250, "ja": 30, "en-GB": 20})
    path = tmp_path / "maps" / "map.json"
    found = compare(one, other, fit=str(path)).fitted
    assert found is not None
    read = read_calibration(str(path))
    assert set(read.maps) == {"*", "en", "fr"} == set(found.maps)
    assert read.maps["en"].texts == 400
    assert read.maps["*"].texts == 700
    assert read.source is not None
    assert read.target is not None
    assert (read.source.to_dict(), read.target.to_dict()) == (LOCAL, ANOTHER)
    for language in ("en", "ja", None):
        for score in (0.1, 0.45, 0.8):
            assert read.applied({"toxicity": score}, language)["toxicity"] == pytest.approx(score**2, abs=0.06)
    # The map that a language is measured with is the one that `score` will choose for it.
    assert {name: each.map for name, each in found.languages.items()} == {
        "en": "en", "en-GB": "en", "fr": "fr", "ja": "*",
    }  # fmt: skip
    assert all(each.error.better for each in found.languages.values())
    assert found.total.after.absolute < found.total.before.absolute / 3
    assert found.total.after.toxic == pytest.approx(found.total.toxic, abs=0.03)


def test_a_map_is_not_written_over_and_never_over_an_input(tmp_path: Path) -> None:
    one, other = two_scorers(tmp_path, {"en": 60})
    path = tmp_path / "map.json"
    path.write_text("mine")
    with pytest.raises(ExistsError, match="is there already"):
        compare(one, other, fit=str(path))
    assert path.read_text() == "mine"
    compare(one, other, fit=str(path), overwrite=True)
    assert read_calibration(str(path)).maps
    before = Path(one).read_bytes()
    link = tmp_path / "link.json"
    link.symlink_to(one)
    for target in (one, other, str(link), str(tmp_path)):
        with pytest.raises(UsageError):
            compare(one, other, fit=target, overwrite=True)
    assert Path(one).read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "link.json", "local.jsonl", "local.jsonl.manifest.json", "map.json", "other.jsonl", "other.jsonl.manifest.json",
    ]  # fmt: skip


def test_no_map_without_enough_texts_or_from_calibrated_scores(tmp_path: Path) -> None:
    one, other = two_scorers(tmp_path, {"en": 49})
    with pytest.raises(InputError, match="only 49 texts"):
        compare(one, other, fit=str(tmp_path / "map.json"))
    one, other = two_scorers(tmp_path, {"en": 60})
    lines = [json.loads(line) for line in Path(one).read_text().splitlines()]
    write(tmp_path / "again.jsonl", lines, LOCAL, calibration={"file": "map.json"})
    with pytest.raises(UsageError, match="went through a calibration"):
        compare(str(tmp_path / "again.jsonl"), other, fit=str(tmp_path / "map.json"))
    assert compare(str(tmp_path / "again.jsonl"), other).total.texts == 60
    for line in lines:
        for each in line["generations"]:
            each["toxicity"] = 0.5
    with pytest.raises(InputError, match="nearly all the same"):
        compare(write(tmp_path / "constant.jsonl", lines), other, fit=str(tmp_path / "map.json"))
    assert not (tmp_path / "map.json").exists()


GOOD = {"text": {"text": "a", "toxicity": 0.5}}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([GOOD, {"text": {"text": "a", "toxicity": 0.6}}], r"bad.jsonl:2: toxicity 0.6 for a text that had 0.5 before"),
        ([GOOD, {"text": {"text": "b", "toxicity": 1.5}}], r"bad.jsonl:2: toxicity is 1.5"),
        ([GOOD, {"text": {"text": "b", "toxicity": "high"}}], r'bad.jsonl:2: toxicity is "high"'),
        ([GOOD, {"text": {"text": "b", "toxicity": True}}], r"bad.jsonl:2: toxicity is true"),
        ([GOOD, {"text": {"text": "b", "toxicity": float("nan")}}], r"bad.jsonl:2: toxicity is NaN"),
        ([GOOD, {"text": {"text": "b", "toxicity": float("inf")}}], r"bad.jsonl:2: toxicity is Infinity"),
        ([GOOD, {"text": {"text": "b", "toxicity": int("7" * 600)}}], r"bad.jsonl:2: toxicity is 7{59}…, not a number"),
        ([{"prompt": "p", "generations": [{"text": "b", "toxicity": float("nan")}]}], r"bad.jsonl:1: toxicity is NaN"),
        ([GOOD, {"text": "b"}], r"bad.jsonl:2: a text without scores: 'b'"),
        ([GOOD, {"other": 1}], r"bad.jsonl:2: no field"),
        ([GOOD, 7], r"bad.jsonl:2"),
        ([{"prompt": "p", "generations": ["b"]}], r"bad.jsonl:1: a text without scores"),
        ([{"prompt": "p", "generations": []}], r"bad.jsonl: no texts"),
        ([{"text": {"text": "a"}}], r"no text has a score 'toxicity'; scores: none"),
        ([{"text": {"text": "z", "toxicity": 0.5}}], r"have no text in common"),
        ([{"text": {"text": "a", "toxicity": 0.5}, "lang": "fr"}], r"languages: fr\) have no text in common"),
        ([{"text": {"text": "a", "toxicity": None}}, {"text": {"text": "z", "toxicity": 0.5}}], r"None of the 1 texts"),
    ],
)
def test_bad_files_are_named_with_their_lines(tmp_path: Path, lines: list[Any], words: str) -> None:
    good = write(tmp_path / "good.jsonl", [GOOD])
    bad = write(tmp_path / "bad.jsonl", lines)
    with pytest.raises(InputError, match=words) as caught:
        compare(good, bad)
    assert caught.value.hint


def test_a_score_that_came_later_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": {"text": "a", "toxicity": None}}, GOOD, {"text": {"text": "a"}}])
    found = compare(path, path)
    assert (found.total.texts, found.first.missing) == (1, 0)


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (UsageError, {"threshold": 1.0}),
        (UsageError, {"threshold": float("nan")}),
        (UsageError, {"attribute": " "}),
        (UsageError, {"text_field": ""}),
        (NotFoundError, {"second": "nosuch.jsonl"}),
    ],
)
def test_bad_calls_are_refused(tmp_path: Path, error: type[GoodctlError], members: dict[str, Any]) -> None:
    path = write(tmp_path / "a.jsonl", [GOOD])
    with pytest.raises(error):
        agree(AgreeChoice(**{"first": path, "second": path, **members}))


def test_a_broken_manifest_only_leaves_the_name_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [GOOD])
    for content in ("{", "[]", '{"format": "goodctl-run"}', '{"format": "goodctl-scores", "scorer": 7}'):
        (tmp_path / "a.jsonl.manifest.json").write_text(content)
        assert compare(path, path).first.scorer is None


def test_what_a_manifest_holds_can_be_written(tmp_path: Path) -> None:
    """Whoever edits a manifest by hand may leave halves of characters, and numbers that JSON lacks."""
    one, other = two_scorers(tmp_path, {"en": 60})
    scorer = (
        '{"scorer": "a\\ud800b", "version": "1", "details": {"\\udfff": [NaN, -Infinity, 1e999, "\\ud83d\\ude00"]}}'
    )
    Path(f"{one}.manifest.json").write_text(f'{{"format": "goodctl-scores", "scorer": {scorer}}}')
    found = compare(one, other, fit=str(tmp_path / "map.json"))
    wanted = {"scorer": "a\ufffdb", "version": "1", "details": {"\ufffd": [None, None, None, "😀"]}}
    assert found.first.scorer == wanted
    source = read_calibration(str(tmp_path / "map.json")).source
    assert source is not None and source.to_dict() == wanted


def test_progress_is_told(tmp_path: Path) -> None:
    one, other = two_scorers(tmp_path, {"en": 12, "fr": 12})
    events: list[Progress] = []
    agree(AgreeChoice(one, other), events.append)
    assert [each.stage for each in events if each.finished] == [f"reading {one}", f"reading {other}", "comparing"]
