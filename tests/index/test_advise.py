from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.errors import UsageError
from goodctl.index.advise import EXACT_ROWS, Advice, advise, default_budget_bytes
from goodctl.index.cache import parse_bytes
from tests.index.stores import CPU

GB = 10**9


def advice(rows: int, budget: int | None = 16 * GB, dimension: int = 1024, installed: bool = True) -> Advice:
    return advise(rows, dimension, 2, device=CPU, budget_bytes=budget, faiss_installed=installed)


@pytest.mark.parametrize(
    ("rows", "budget", "kind"),
    [
        (1, 16 * GB, "exact"),
        (EXACT_ROWS, 16 * GB, "exact"),
        (EXACT_ROWS + 1, 16 * GB, "ivf-sq8"),
        (10_000_000, 16 * GB, "ivf-sq8"),
        (10_000_000, 4 * GB, "ivf-pq"),
        (EXACT_ROWS, 60_000_000, "ivf-sq8"),
        (EXACT_ROWS, 6_000_000, "ivf-pq"),
    ],
)
def test_rows_and_memory_decide(rows: int, budget: int, kind: str) -> None:
    chosen = advice(rows, budget)
    assert chosen.kind == kind
    assert (chosen.factory == "") == (kind == "exact")
    assert chosen.needed_bytes <= budget
    assert chosen.reason


def test_codes_shrink_until_they_fit() -> None:
    bytes_of_codes = [advice(10_000_000, budget).needed_bytes for budget in (2 * GB, GB, GB // 2)]
    assert bytes_of_codes == sorted(bytes_of_codes, reverse=True)
    assert advice(10_000_000, GB // 2).factory == "IVF12649,PQ32x8np"


def test_nothing_fits() -> None:
    with pytest.raises(UsageError, match=r"smallest needs 110\.0 MB") as caught:
        advice(10_000_000, 50_000_000)
    assert caught.value.hint and "--memory-budget 110MB" in caught.value.hint
    assert advice(10_000_000, 110_000_000).kind == "ivf-pq"


@settings(deadline=None, derandomize=True, database=None)
@given(rows=st.integers(1, 10**8), dimension=st.integers(1, 4096), budget=st.integers(1, 10**11))
def test_advice_fits_or_says_what_would(rows: int, dimension: int, budget: int) -> None:
    try:
        chosen = advice(rows, budget, dimension)
    except UsageError as error:
        assert error.hint is not None
        enough = parse_bytes(error.hint.partition("budget ")[2].partition(",")[0], "--memory-budget")
        chosen, budget = advice(rows, enough, dimension), enough
    assert chosen.needed_bytes <= budget


def test_without_faiss_search_is_exact() -> None:
    chosen = advice(10_000_000, 1000 * GB, installed=False)
    assert (chosen.kind, chosen.reason) == ("exact", "faiss is not installed")


def test_without_a_budget_half_of_the_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_budget_bytes() > 10**8
    assert advice(1000, None).kind == "exact"
    monkeypatch.delattr("os.sysconf")
    assert default_budget_bytes() == 8 * GB


@pytest.mark.parametrize(("memory", "kind"), [(80 * GB, "exact"), (8 * GB, "ivf-sq8")])
def test_a_gpu_that_holds_the_keys_needs_no_codes(memory: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=memory))
    chosen = advise(10_000_000, 1024, 2, device=torch.device("cuda"), budget_bytes=16 * GB)
    assert chosen.kind == kind
