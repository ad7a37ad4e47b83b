from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.errors import DamagedError, InputError, NotFoundError
from goodctl.scoring.calibration import Calibration, CalibrationMap, read_calibration
from goodctl.scoring.protocol import Identity

SOURCE = Identity("profanity", "1", {"a": 1})
TARGET = Identity("perspective", "v1alpha1", {})
ALL = CalibrationMap((0.2, 0.4, 0.8), (0.0, 0.5, 0.6), 100)
GERMAN = CalibrationMap((0.5,), (0.25,), 7)
CALIBRATION = Calibration("toxicity", SOURCE, TARGET, {"*": ALL, "de": GERMAN})

numbers = st.floats(0, 1)


@st.composite
def maps(draw: st.DrawFn) -> CalibrationMap:
    x = sorted(draw(st.sets(numbers, min_size=1, max_size=20)))
    y = sorted(draw(st.lists(numbers, min_size=len(x), max_size=len(x))))
    return CalibrationMap(tuple(x), tuple(y), draw(st.integers(0, 1000)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, 0.0), (0.2, 0.0), (0.3, 0.25), (0.4, 0.5), (0.6, 0.55), (0.8, 0.6), (1.0, 0.6)],
)
def test_linear_between_points_and_constant_outside(value: float, expected: float) -> None:
    assert ALL(value) == pytest.approx(expected)


@given(maps(), st.lists(numbers, min_size=2, max_size=10))
def test_a_map_never_changes_the_order_and_stays_among_its_values(each: CalibrationMap, values: list[float]) -> None:
    mapped = [each(value) for value in sorted(values)]
    assert all(one <= other for one, other in itertools.pairwise(mapped))
    assert all(each.y[0] <= value <= each.y[-1] for value in mapped)
    assert [each(x) for x in each.x] == list(each.y)


@given(st.dictionaries(st.sampled_from(["de", "fr", "pt-BR"]), maps()), maps())
def test_it_comes_back_from_its_file(tmp_path_factory: Any, some: dict[str, CalibrationMap], others: Any) -> None:
    calibration = Calibration("toxicity", SOURCE, None, {"*": others, **some})
    file = tmp_path_factory.mktemp("c") / "map.json"
    file.write_text(json.dumps(calibration.to_dict()))
    assert read_calibration(file) == calibration


def test_only_its_attribute_changes_and_the_score_before_stays_beside() -> None:
    scores = {"toxicity": 0.3, "insult": 0.9}
    assert CALIBRATION.applied(scores, "en") == {
        "toxicity": pytest.approx(0.25),
        "toxicity_uncalibrated": 0.3,
        "insult": 0.9,
    }
    assert scores == {"toxicity": 0.3, "insult": 0.9}
    assert CALIBRATION.applied({"insult": 0.9}, "en") == {"insult": 0.9}


@pytest.mark.parametrize(("language", "value"), [("de", 0.25), ("de-AT", 0.25), ("fr", 0.5), (None, 0.5)])
def test_a_language_has_its_own_map_or_that_of_all_others(language: str | None, value: float) -> None:
    assert CALIBRATION.applied({"toxicity": 0.4}, language)["toxicity"] == pytest.approx(value)


def test_another_scorer_is_warned_about() -> None:
    assert CALIBRATION.misfit(Identity("profanity", "1", {"a": 1})) is None
    note = CALIBRATION.misfit(Identity("profanity", "2", {"a": 1}))
    assert note is not None
    assert "version: 1 → 2" in note
    unknown = Calibration("toxicity", None, None, {"*": ALL}).misfit(SOURCE)
    assert unknown is not None
    assert "does not say" in unknown


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    stored = json.loads(json.dumps(CALIBRATION.to_dict()))
    found = stored
    for name in path[:-1]:
        found = found[name]
    found[path[-1]] = value
    return dict(stored)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("maps", "*", "y"), [0.0, 0.6, 0.5], "maps['*']: y[2] is 0.5, below the 0.6 before it: not monotone"),
        (("maps", "de", "x"), [0.5, 0.6], "maps['de']: 2 values of x and 1 of y"),
        (("maps", "de", "x"), [], "maps['de']: 0 values of x"),
        (("maps", "*", "x"), [0.2, 0.2, 0.8], "maps['*']: x[1] is 0.2, not above the 0.2"),
        (("maps", "*", "x"), [0.2, 0.4, 1.5], "x[2] is 1.5, not from 0 to 1"),
        (("maps", "*", "y"), [0.0, math.nan, 1.0], "maps['*'].y[1] is nan, no number"),
        (("maps", "*", "y"), [0.0, True, 1.0], "maps['*'].y[1] is True, no number"),
        (("maps", "*", "y"), [0.0, "a", 1.0], "maps['*'].y[1] is 'a', no number"),
        (("maps", "*", "y"), 1, "maps['*'].y is no list"),
        (("maps", "*"), [], "maps['*'] is no object"),
        (("maps", "*", "texts"), 1.5, "maps['*'].texts is 1.5"),
        (("maps", "*", "texts"), -1, "texts is -1"),
        (("maps",), {"de": GERMAN.to_dict()}, "maps has no '*'"),
        (("maps",), [], "maps is no object"),
        (("attribute",), "", "attribute"),
        (("from",), {"scorer": "a"}, "version"),
        (("maps", "*", "y"), [0, 0, 10**400], "too large"),
    ],
)
def test_damage_is_refused_with_its_place(tmp_path: Path, path: tuple[str, ...], value: Any, words: str) -> None:
    file = tmp_path / "map.json"
    file.write_text(json.dumps(changed(path, value)))
    with pytest.raises(DamagedError) as raised:
        read_calibration(file)
    assert words in raised.value.message
    assert raised.value.message.startswith(str(file))
    assert raised.value.hint is not None
    assert "agree" in raised.value.hint


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"{", DamagedError),
        (b"\xff\xfe", DamagedError),
        (b"[" * 100_000, DamagedError),
        (b"[]", InputError),
        (b'{"format": "other"}', InputError),
        (b'{"format": "goodctl-calibration", "format_version": 2}', InputError),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    file = tmp_path / "map.json"
    file.write_bytes(content)
    with pytest.raises(error):
        read_calibration(file)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_calibration(tmp_path / "none.json")
    with pytest.raises(InputError):
        read_calibration(tmp_path)
