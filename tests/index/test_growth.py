from __future__ import annotations

import pytest

from goodctl.datastore.codes import CodecInfo
from goodctl.datastore.description import NEGLIGIBLE_ERROR
from goodctl.errors import UsageError
from goodctl.index.codec import Errors
from goodctl.index.growth import LEAST_ROWS, MOST_DRIFT, Fit, check_codec_choice, decide


def fit(name: str, own: tuple[float, float | None], new: tuple[float, float | None]) -> Fit:
    info = CodecInfo(name, "ivf-sq8", "IVF4,SQ8", 16, 17, 100, 100, own[0], own[1])
    return Fit(info, Errors(*new))


GOOD = fit("good", (0.01, 0.2), (0.011, 0.22))
BAD = fit("bad", (0.01, 0.2), (0.03, 0.25))
WORSE = fit("worse", (0.01, 0.2), (0.011, 0.9))


@pytest.mark.parametrize(
    ("fits", "rows", "choice", "reused"),
    [
        ([GOOD], 10, "auto", "good"),
        ([GOOD], 10**6, "auto", "good"),
        ([BAD], LEAST_ROWS - 1, "auto", "bad"),
        ([BAD], LEAST_ROWS, "auto", None),
        ([BAD], 10**6, "reuse", "bad"),
        ([GOOD], 10, "new", None),
        ([BAD, GOOD, WORSE], 10**6, "auto", "good"),
        ([WORSE, BAD], 10**6, "reuse", "bad"),
        ([WORSE, BAD], 10**6, "auto", None),
        ([fit("b", (0.01, None), (0.01, None)), fit("a", (0.01, None), (0.01, None))], 10, "auto", "a"),
    ],
)
def test_decisions(fits: list[Fit], rows: int, choice: str, reused: str | None) -> None:
    decision = decide({each.info.id: each for each in fits}, rows, choice)
    assert (decision.fit.info.id if decision.fit else None) == reused
    assert decision.reason


@pytest.mark.parametrize(
    ("own", "new", "drift"),
    [
        ((0.01, 0.2), (0.02, 0.2), 2.0),
        ((0.01, 0.2), (0.01, 0.5), 2.5),
        ((0.01, None), (0.03, None), 3.0),
        ((0.01, 0.2), (0.005, 0.1), 0.5),
        ((1e-5, None), (NEGLIGIBLE_ERROR, None), 0.0),
        ((1e-5, None), (2 * NEGLIGIBLE_ERROR, None), 2.0),
        ((0.0, 0.0), (0.0, 0.0), 0.0),
    ],
)
def test_drift_is_the_worse_of_both_errors(
    own: tuple[float, float | None], new: tuple[float, float | None], drift: float
) -> None:
    assert fit("a", own, new).drift == pytest.approx(drift)


def test_the_limit_itself_is_good_enough() -> None:
    edge = fit("edge", (1.0, None), (MOST_DRIFT, None))
    assert decide({"edge": edge}, 10**6, "auto").fit == edge


def test_choices() -> None:
    for choice in ("auto", "reuse", "new"):
        check_codec_choice(choice)
    with pytest.raises(UsageError, match="--codec old") as caught:
        check_codec_choice("old")
    assert caught.value.hint == "Use auto, reuse, new."
