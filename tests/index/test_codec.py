from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goodctl.datastore.codes import fingerprint
from goodctl.errors import DamagedError, MissingDependency, UsageError
from goodctl.index import clusters
from goodctl.index.clusters import kmeans, nearest
from goodctl.index.codec import Codec, train
from goodctl.index.kinds import factory_for
from goodctl.index.library import shortened
from tests.index.stores import CPU, brute_force, keys, trained, without_faiss

FACTORIES = (
    "Flat",
    "SQ8",
    "SQ4",
    "SQfp16",
    "PQ4x8np",
    "IVF4,Flat",
    "IVF4,SQ8",
    "IVF4,PQ4x8np",
    "IVF4,PQ4x4np",
    "IVF300,SQ8",
    "PCA8,IVF4,SQ8",
    "OPQ4_8,IVF4,PQ4x4np",
    "RR8,SQ8",
)


@pytest.mark.parametrize("rows", [1, 3, 300])
@pytest.mark.parametrize("kind", ["ivf-sq8", "ivf-pq"])
@pytest.mark.parametrize("dimension", [1, 7, 16])
def test_kinds_are_trained_on_few_rows(rows: int, kind: str, dimension: int, capfd: pytest.CaptureFixture[str]) -> None:
    data = keys(0, rows, dimension)
    codec = trained(data, factory_for(kind, rows, dimension), kind=kind)
    assert codec.decode(codec.encode(data, CPU)).shape == (rows, dimension)
    assert codec.info.error < (0.01 if kind == "ivf-sq8" else 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("factory", FACTORIES)
def test_factory_strings_train_without_a_word(factory: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = keys(0, 600)
    codec = trained(data, factory)
    assert capfd.readouterr() == ("", "")
    assert codec.info.factory == factory
    assert (codec.info.dimension, codec.info.rows) == (16, 600)
    assert codec.info.code_size == codec.encode(data[:2], CPU).shape[1]
    assert (codec.lists > 0) == ("IVF" in factory)
    assert (codec.info.coarse_error is None) == (codec.lists == 0)


@pytest.mark.parametrize("factory", ["HNSW", "PQ4x4fs", "IVF4,PQ4x4fs", "Nonsense", "IVF0,Flat", "IVF4,SQ8,RFlat"])
def test_what_cannot_be_put_together_is_refused(factory: str) -> None:
    with pytest.raises(UsageError) as caught:
        trained(keys(0, 300), factory)
    assert factory in caught.value.message
    assert len(caught.value.message) < 300
    assert ".cpp" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("factory", ["IVF50,SQ8", "PCA8,SQ8", "IVF4,PQ4x10"])
def test_too_few_rows_to_train_on(factory: str) -> None:
    with pytest.raises(UsageError, match="on 3 rows") as caught:
        trained(keys(0, 3), factory)
    assert caught.value.hint and "ivf-sq8" in caught.value.hint


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "IVF16,PQ4x8np", "OPQ4_8,IVF4,PQ4x4np"])
def test_a_seed_decides_a_codec(factory: str) -> None:
    data = keys(0, 900)
    first, again, other = (trained(data, factory, seed=seed) for seed in (1, 1, 2))
    assert first.info.id == again.info.id == fingerprint(first.trained)
    np.testing.assert_array_equal(first.encode(data, CPU), again.encode(data, CPU))
    assert other.info.id != first.info.id


@pytest.mark.parametrize(
    ("factory", "error"), [("Flat", 1e-6), ("IVF4,Flat", 1e-6), ("IVF4,SQ8", 1e-3), ("SQ8", 1e-3), ("SQ4", 0.05)]
)
def test_decoded_codes_are_near_their_keys(factory: str, error: float) -> None:
    data = keys(0, 600)
    codec = trained(data, factory)
    spread = ((data - data.mean(0, dtype=np.float32)) ** 2).sum()
    lost = ((data - codec.decode(codec.encode(data, CPU))) ** 2).sum() / spread
    assert lost <= error
    assert codec.errors(data, CPU).reconstruction == pytest.approx(lost, rel=0.02, abs=1e-6)


@pytest.mark.parametrize(("lists", "width"), [(1, 0), (4, 1), (256, 1), (300, 2)])
def test_a_code_is_the_number_of_a_list_and_a_bare_code(lists: int, width: int) -> None:
    data = keys(0, 900)
    codec = trained(data, f"IVF{lists},SQ8")
    codes = codec.encode(data, CPU)
    numbers, bare = codec.split(codes)
    assert codec.info.code_size == width + codec.bare_code_size == width + 16
    assert codec.centres.shape == (lists, 16)
    np.testing.assert_array_equal(numbers, nearest(data, codec.centres, CPU))
    np.testing.assert_array_equal(codes[:, width:], bare)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_loaded_codec_is_the_same(factory: str) -> None:
    data = keys(0, 600)
    codec = trained(data, factory)
    loaded = Codec.load(codec.info, codec.trained.copy())
    assert (loaded.lists, loaded.bare_code_size) == (codec.lists, codec.bare_code_size)
    codes = codec.encode(data, CPU)
    np.testing.assert_array_equal(loaded.encode(data, CPU), codes)
    np.testing.assert_array_equal(loaded.decode(codes), codec.decode(codes))


@pytest.mark.parametrize("wrong", [{"dimension": 8}, {"code_size": 3}])
def test_a_codec_that_is_not_as_described(wrong: dict[str, int]) -> None:
    codec = trained(keys(0, 300), "IVF4,SQ8")
    with pytest.raises(DamagedError, match="were recorded") as caught:
        Codec.load(replace(codec.info, **wrong), codec.trained)  # type: ignore[arg-type]
    assert caught.value.hint and "datastore index" in caught.value.hint


def test_an_index_with_rows_in_it_is_no_codec() -> None:
    import faiss

    codec = trained(keys(0, 300), "SQ8")
    index = faiss.deserialize_index(codec.trained)
    index.add(keys(0, 2, dtype="float32"))
    with pytest.raises(DamagedError, match="2 rows"):
        Codec.load(codec.info, faiss.serialize_index(index))


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_bytes_that_faiss_cannot_read(kept: int) -> None:
    codec = trained(keys(0, 300), "IVF4,SQ8")
    with pytest.raises(DamagedError, match="cannot read codec") as caught:
        Codec.load(codec.info, codec.trained[:kept].copy())
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "IVF16,PQ4x8np"])
def test_errors_grow_on_other_keys(factory: str) -> None:
    codec = trained(keys(0, 2000), factory)
    own = codec.errors(keys(1, 2000), CPU)
    rng = np.random.default_rng(0)
    strangers = (keys(2, 2000) + 6 * rng.standard_normal(16) * (rng.random(16) < 0.5)).astype(np.float16)
    other = codec.errors(strangers, CPU)
    assert own.reconstruction == pytest.approx(codec.info.error, rel=0.3)
    assert other.reconstruction > 1.5 * own.reconstruction
    assert own.coarse is not None
    assert other.coarse is not None
    assert other.coarse > 1.5 * own.coarse


def test_rows_that_were_not_trained_on_measure_the_error() -> None:
    data = keys(0, 1000)
    codec = trained(data, "IVF4,SQ8")
    assert codec.info.trained_rows == 900
    assert codec.info.error == pytest.approx(codec.errors(data[:100], CPU).reconstruction)


def test_keys_that_are_all_the_same() -> None:
    data = np.tile(keys(0, 1), (500, 1))
    for factory in ("IVF4,SQ8", "IVF4,PQ4x8np"):
        codec = train(data, 500, "factory", factory, CPU)
        np.testing.assert_allclose(codec.decode(codec.encode(data[:3], CPU)), data[:3], atol=1e-2)


@pytest.mark.parametrize(("bf16", "rounding"), [(False, 1e-6), (True, 0.01)])
def test_nearest_centres(bf16: bool, rounding: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "computes_bf16", lambda _: bf16)
    points = keys(0, 1500, dtype="float32") + 100
    centres = kmeans(points, 40, CPU)
    distances = brute_force(centres, points, 40)
    found = ((points - centres[nearest(points, centres, CPU)]) ** 2).sum(1)
    largest = ((points - points.mean(0)) ** 2).sum(1).max()
    assert (found <= distances[0][:, 0] + rounding * largest).all()


def test_centres_are_where_the_points_are() -> None:
    points = keys(0, 1000, dtype="float32")
    centres = kmeans(points, 40, CPU)
    assert len(np.unique(centres, axis=0)) == 40
    assert ((points - centres[nearest(points, centres, CPU)]) ** 2).sum() < 0.5 * ((points - points.mean(0)) ** 2).sum()


def test_centres_of_fewer_distinct_points() -> None:
    centres = kmeans(np.repeat(keys(0, 5, dtype="float32"), 20, axis=0), 30, CPU)
    assert centres.shape == (30, 16)
    assert np.isfinite(centres).all()


def test_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    without_faiss(monkeypatch)
    with pytest.raises(MissingDependency) as caught:
        trained(keys(0, 300), "SQ8")
    assert caught.value.hint and "pip install" in caught.value.hint


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ("Error in void f(int) at /project/faiss/x.cpp:12: Error: 'n >= 3' failed: too few points", "too few points"),
        ("no structure at all", "no structure at all"),
        ("", "RuntimeError"),
        ("long " * 100, ("long " * 100).strip()[:199] + "…"),
    ],
)
def test_messages_of_faiss_are_shortened(message: str, short: str) -> None:
    assert shortened(RuntimeError(message)) == short
