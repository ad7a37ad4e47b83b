from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodctl.index.fidelities import FAST, HIGH
from goodctl.index.measure import Queries, sample_queries
from goodctl.index.plan import Settings
from goodctl.index.search import Searcher
from goodctl.index.tune import TARGET_RECALL, TARGET_TV, Truth, tuned
from tests.index.stores import keys, rows_of, searcher, trained, write

DATA = keys(0, 3000, clusters=40)
K = 30


def prepared(folder: Path, factory: str, k: int = K) -> tuple[Searcher, str, Truth]:
    opened = searcher(write(folder, rows_of(DATA), codec=trained(DATA, factory)))
    queries = sample_queries(opened.segments, opened.first_rows, [60])
    (name,) = opened.codecs
    return opened, name, Truth.of(opened, queries, k, None)


def settings_in(found: dict[str, Any]) -> Settings:
    return Settings(found["nprobe"], found["rerank"])


@pytest.mark.parametrize("factory", ["IVF32,SQ8", "IVF32,PQ4x8np", "SQ8", "PQ4x8np", "PCA8,IVF8,SQ8", "IVF32,Flat"])
def test_settings_reach_their_targets(tmp_path: Path, factory: str) -> None:
    opened, name, truth = prepared(tmp_path / "s", factory)
    found = tuned(opened, name, truth)
    assert set(found) == {HIGH, FAST}
    for fidelity, target in TARGET_TV.items():
        of_it = found[fidelity]
        assert of_it["reached"]
        assert of_it["tv"] <= target
        assert 1 <= of_it["nprobe"] <= max(1, opened.codecs[name].lists)
        answer = truth.answer(opened, {name: settings_in(of_it)})
        assert of_it["tv"] == pytest.approx(truth.variation(opened, answer).mean())
        assert of_it["recall"] == pytest.approx(truth.recall(opened, answer).mean())
        assert (of_it["k"], of_it["queries"], of_it["temperature"]) == (K, 60, truth.temperature)
    assert found[HIGH]["recall"] >= TARGET_RECALL
    fast, high = settings_in(found[FAST]), settings_in(found[HIGH])
    assert (fast.rerank, fast.nprobe) <= (high.rerank, high.nprobe)


def test_other_queries_are_answered_nearly_as_well(tmp_path: Path) -> None:
    opened, name, truth = prepared(tmp_path / "s", "IVF32,SQ8")
    settings = {name: settings_in(tuned(opened, name, truth)[HIGH])}
    others = Truth.of(opened, sample_queries(opened.segments, opened.first_rows, [200], seed=5), K, truth.temperature)
    answer = others.answer(opened, settings)
    assert others.variation(opened, answer).mean() < 1.5 * TARGET_TV[HIGH]
    assert others.recall(opened, answer).mean() > TARGET_RECALL - 0.02


def test_the_same_store_gives_the_same_settings(tmp_path: Path) -> None:
    first, again = (tuned(*prepared(tmp_path / name, "IVF32,PQ4x8np")) for name in "ab")
    assert first == again


def test_fewer_lists_are_worse(tmp_path: Path) -> None:
    opened, name, truth = prepared(tmp_path / "s", "IVF32,SQ8")
    high = tuned(opened, name, truth)[HIGH]
    assert 1 < high["nprobe"] < 32
    fewer = truth.answer(opened, {name: Settings(high["nprobe"] // 2, high["rerank"])})
    variation, recalled = truth.variation(opened, fewer).mean(), truth.recall(opened, fewer).mean()
    assert variation > 0.9 * TARGET_TV[HIGH] or recalled < TARGET_RECALL


def test_what_cannot_be_reached_is_said(tmp_path: Path) -> None:
    opened, name, truth = prepared(tmp_path / "s", "PQ1x2np")
    found = tuned(opened, name, truth)
    assert not found[HIGH]["reached"]
    assert found[HIGH]["recall"] < TARGET_RECALL
    strict = tuned(opened, name, truth, target_recall=1.0)
    assert not strict[HIGH]["reached"]


def test_a_higher_recall_takes_more(tmp_path: Path) -> None:
    opened, name, truth = prepared(tmp_path / "s", "IVF32,Flat")
    low, high = (tuned(opened, name, truth, target_recall=target)[HIGH] for target in (0.5, 0.999))
    assert low["nprobe"] <= high["nprobe"]
    assert high["recall"] >= 0.999


def test_each_setting_is_tried_once(tmp_path: Path) -> None:
    opened, name, truth = prepared(tmp_path / "s", "IVF32,PQ4x8np")
    steps: list[str] = []
    tuned(opened, name, truth, on_step=steps.append)
    assert 1 < len(steps) == len(set(steps)) < 30


def test_more_neighbours_than_there_are(tmp_path: Path) -> None:
    opened, name, truth = prepared(tmp_path / "s", "IVF32,SQ8", k=10_000)
    assert truth.k == 3000 - 5
    found = tuned(opened, name, truth)[HIGH]
    assert found["reached"]
    assert found["nprobe"] > 16


@pytest.mark.parametrize("rows", [1, 3, 5, 6])
def test_very_small_stores(tmp_path: Path, rows: int) -> None:
    opened = searcher(write(tmp_path / "s", rows_of(DATA[:rows]), codec=trained(DATA, "IVF8,SQ8")))
    (name,) = opened.codecs
    truth = Truth.of(opened, sample_queries(opened.segments, opened.first_rows, [60]), K, None)
    found = tuned(opened, name, truth)
    assert found[HIGH]["tv"] <= 1
    assert 1 <= found[HIGH]["nprobe"] <= 8


def test_the_truth_has_no_row_of_the_querys_document(tmp_path: Path) -> None:
    _, _, truth = prepared(tmp_path / "s", "SQ8")
    queries: Queries = truth.queries
    own = (truth.exact.rows >= queries.first[:, None]) & (truth.exact.rows < queries.last[:, None])
    assert not own.any()
    assert truth.exact.rows.shape == (60, K)
    assert (truth.exact.rows >= 0).all()
    assert truth.temperature == pytest.approx(float(np.mean(np.ptp(truth.exact.distances, axis=1))))


def test_a_temperature_can_be_given(tmp_path: Path) -> None:
    opened, _, truth = prepared(tmp_path / "s", "SQ8")
    assert Truth.of(opened, truth.queries, K, 7.5).temperature == 7.5
