from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.errors import UsageError
from goodctl.index.kinds import MOST_LISTS, POINTS_PER_LIST, factory_for, kind_of, lists_for, pq_bytes, training_rows
from goodctl.workflows.index_choice import IndexChoice


@pytest.mark.parametrize(
    ("rows", "lists"),
    [(1, 1), (3, 1), (300, 7), (10_000, 256), (1_000_000, 4000), (10_000_000, 12_649), (10**9, MOST_LISTS)],
)
def test_lists(rows: int, lists: int) -> None:
    assert lists_for(rows) == lists


@settings(deadline=None, derandomize=True, database=None)
@given(rows=st.integers(1, 10**10))
def test_lists_can_be_trained_on_the_rows(rows: int) -> None:
    lists = lists_for(rows)
    assert 1 <= lists <= MOST_LISTS
    assert lists == 1 or lists * POINTS_PER_LIST <= rows
    assert lists <= lists_for(rows + 1)
    assert training_rows(lists) >= lists * POINTS_PER_LIST


@settings(deadline=None, derandomize=True, database=None)
@given(dimension=st.integers(1, 20_000), most=st.none() | st.integers(1, 3000))
def test_bytes_of_a_product_quantiser_divide_the_dimension(dimension: int, most: int | None) -> None:
    size = pq_bytes(dimension, most)
    assert dimension % size == 0
    assert 1 <= size <= max(1, dimension // 8 if most is None else most)


@pytest.mark.parametrize(
    ("kind", "rows", "dimension", "code_bytes", "factory"),
    [
        ("ivf-sq8", 10_000, 640, None, "IVF256,SQ8"),
        ("ivf-pq", 10_000, 640, None, "IVF256,PQ80x8np"),
        ("ivf-pq", 10_000, 640, 50, "IVF256,PQ40x8np"),
        ("ivf-pq", 3, 7, None, "IVF1,PQ1x8np"),
        ("PCA8,IVF4,SQ8", 10_000, 640, None, "PCA8,IVF4,SQ8"),
    ],
)
def test_factories(kind: str, rows: int, dimension: int, code_bytes: int | None, factory: str) -> None:
    assert factory_for(kind, rows, dimension, code_bytes) == factory


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("auto", "auto"),
        ("Exact", "exact"),
        (" ivf-sq8 ", "ivf-sq8"),
        ("IVF-PQ", "ivf-pq"),
        ("none", "none"),
        ("IVF1024,SQ8", "factory"),
        ("SQ8", "factory"),
    ],
)
def test_names_of_kinds(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize("text", ["", "  ", "ivf-sq4", "ivf-flat"])
def test_no_such_kind(text: str) -> None:
    with pytest.raises(UsageError, match="no kind of index") as caught:
        kind_of(text)
    assert caught.value.hint and "ivf-sq8" in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"index": "ivf-sq4"}, "ivf-sq4"),
        ({"codec": "old"}, "--codec old"),
        ({"target_recall": 0.0}, "--target-recall"),
        ({"target_recall": 1.1}, "--target-recall"),
        ({"k": 0}, "-k 0"),
        ({"temperature": 0.0}, "--temperature"),
    ],
)
def test_choices_that_make_no_sense(wrong: dict[str, object], option: str) -> None:
    with pytest.raises(UsageError, match=option) as caught:
        IndexChoice(**wrong)  # type: ignore[arg-type]
    assert caught.value.hint


@pytest.mark.parametrize(
    "factory", ["HNSW", "PQ4x4fs", "IVF4,PQ4x4fs", "Nonsense", "IVF0,Flat", "IVF4,SQ8,RFlat", "L2norm,SQ8", "ITQ8,SQ8"]
)
def test_factory_strings_are_checked_before_a_model_runs(factory: str) -> None:
    with pytest.raises(UsageError) as caught:
        IndexChoice(factory).check(16)
    assert len(caught.value.message) < 300
    assert caught.value.hint


def test_a_factory_string_must_fit_the_dimension() -> None:
    IndexChoice("IVF4,PQ4").check(16)
    with pytest.raises(UsageError, match="multiple"):
        IndexChoice("IVF4,PQ5").check(16)
