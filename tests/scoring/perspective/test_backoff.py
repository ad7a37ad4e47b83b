"""How long is waited between tries."""

from __future__ import annotations

import datetime
import email.utils
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.scoring.perspective.backoff import Backoff, seconds_of

NOW = 1_700_000_000.0


@given(st.integers(1, 50), st.integers())
def test_the_jitter_is_full_and_bounded(tried: int, seed: int) -> None:
    bound = min(30.0, 0.5 * 2 ** (tried - 1))
    assert 0 <= Backoff(uniform=random.Random(seed).uniform).wait_s(tried) <= bound
    assert Backoff(uniform=lambda low, high: high).wait_s(tried) == bound
    assert Backoff(uniform=lambda low, high: low).wait_s(tried) == 0


def test_what_the_service_says_is_the_least() -> None:
    assert Backoff(uniform=lambda low, high: low).wait_s(1, 7.0) == 7.0
    assert Backoff(uniform=lambda low, high: high).wait_s(2, 7.0) == 8.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 3 ", 3.0),
        ("1.5", 1.5),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("٣", None),
        ("9" * 400, None),
        ("Wed, 99 Nov 2023 99:99:99 GMT", None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, NOW) == seconds


@given(st.integers(0, 10_000))
def test_dates(ahead: int) -> None:
    date = datetime.datetime.fromtimestamp(NOW + ahead, datetime.UTC)
    assert seconds_of(email.utils.format_datetime(date, usegmt=True), NOW) == ahead


@given(st.text())
def test_no_header_breaks_it(header: str) -> None:
    found = seconds_of(header, NOW)
    assert found is None or found >= 0
