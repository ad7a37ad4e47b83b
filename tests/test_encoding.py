from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.encoding import Encoder, default_batch_tokens, default_window, pack, windows
from goodctl.errors import GoodctlError, IncompatibleError, ServiceError
from goodctl.models.key_layer import find_key_layer
from goodctl.models.load import LoadedModel, load_model
from goodctl.models.source import resolve
from tests.fakes.tiny import tiny_model_folder


@given(length=st.integers(0, 400), size=st.integers(4, 64), bos=st.booleans())
def test_windows_give_every_row_once_with_enough_context(length: int, size: int, bos: bool) -> None:
    found = windows(7, length, size, bos)
    rows = [row for window in found for row in range(window.first_row, window.stop)]
    assert rows == list(range(max(length - 1, 0)))
    for window in found:
        assert window.document == 7
        assert window.length <= size
        assert window.prefix == int(bos and window.start > 0)
        for row in range(window.first_row, window.stop):
            context = row - window.start + 1
            assert context >= min(row + 1, -(-size // 2)), "at least half a window, or all there is"


def test_a_document_that_fits_is_read_at_once() -> None:
    (window,) = windows(0, 65, 64, True)
    assert (window.start, window.stop, window.first_row, window.prefix) == (0, 64, 0, 0)


@given(lengths=st.lists(st.integers(1, 100), max_size=60), budget=st.integers(1, 300))
def test_packing_keeps_the_budget_and_loses_nothing(lengths: list[int], budget: int) -> None:
    batches = pack(lengths, budget)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= budget or len(batch) == 1


def test_packing_similar_lengths_wastes_little() -> None:
    lengths = np.random.default_rng(0).integers(5, 200, 400).tolist()
    batches = pack(lengths, 2048)
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert sum(lengths) / padded > 0.96
    assert len(batches) < 1.6 * sum(lengths) / 2048, "nor are the batches much smaller than they may be"


def test_packing_is_the_cheapest_of_all_divisions() -> None:
    lengths = [30, 9, 8, 8, 3, 3, 3, 1]

    def cost(batches: list[list[int]]) -> float:
        return sum(len(batch) * max(lengths[index] for index in batch) + 40 / 32 for batch in batches)

    divisions = []
    for cuts in itertools.product([False, True], repeat=len(lengths) - 1):
        batches: list[list[int]] = [[0]]
        for index, cut in enumerate(cuts, 1):
            batches.append([index]) if cut else batches[-1].append(index)
        if all(len(batch) * lengths[batch[0]] <= 40 for batch in batches):
            divisions.append(batches)
    assert cost(pack(lengths, 40)) == pytest.approx(min(map(cost, divisions)))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "bos"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tiny_model_folder(tmp_path_factory.mktemp("models") / "tiny", window=64, bos=request.param)
    return load_model(resolve(str(folder)), device="cpu", precision="fp32")


def encoder(model: LoadedModel, **changes: Any) -> Encoder:
    layer = find_key_layer(model.model, changes.pop("key_layer", "ffn-input"))
    options: dict[str, Any] = {
        "window": 32,
        "batch_tokens": 128,
        "block_tokens": 1000,
        "key_dtype": np.dtype(np.float16),
    }
    return Encoder(model, layer, **{**options, **changes})


TEXTS = [
    "Hello world.",
    "x",
    "",
    "A longer text that has more bytes than fit into one window of 32 tokens. " * 4,
    "été",
]


def independent_keys(model: LoadedModel, tokens: np.ndarray) -> np.ndarray:
    """The last block's feed-forward input for a document in one full forward pass."""
    seen: list[torch.Tensor] = []
    hook = model.model.transformer.h[-1].mlp.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with torch.inference_mode():
        model.model(input_ids=torch.from_numpy(tokens[:-1].astype(np.int64))[None])
    hook.remove()
    return np.asarray(seen[0][0].numpy())


def test_rows_are_the_hidden_states_before_each_token(model: LoadedModel) -> None:
    encoding = encoder(model, window=64, key_dtype=np.dtype(np.float32))
    documents = encoding.tokenize([text for text in TEXTS if len(text) < 60])
    keys, values, lengths = encoding.encode(documents)
    ends = np.cumsum(lengths)
    assert len(keys) == len(values) == ends[-1]
    for tokens, end, length in zip(documents, ends, lengths, strict=True):
        assert length == max(len(tokens) - 1, 0)
        if length:
            np.testing.assert_array_equal(values[end - length : end], tokens[1:])
            np.testing.assert_allclose(keys[end - length : end], independent_keys(model, tokens), atol=1e-5)


def test_long_documents_see_at_least_half_a_window(model: LoadedModel) -> None:
    encoding = encoder(model, window=32, key_dtype=np.dtype(np.float32))
    (tokens,) = encoding.tokenize([TEXTS[3]])
    keys, values, _ = encoding.encode([tokens])
    np.testing.assert_array_equal(values, tokens[1:])
    bos = tokens[:1] if tokens[0] == 257 else tokens[:0]
    for window in windows(0, len(tokens), 32, bool(len(bos))):
        prefix = bos if window.start else tokens[:0]
        read = np.concatenate([prefix, tokens[window.start : window.stop], tokens[:1]])
        expected = independent_keys(model, read)[len(prefix) + window.first_row - window.start :]
        np.testing.assert_allclose(keys[window.first_row : window.stop], expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(max_size=90), max_size=8), budget=st.integers(1, 400))
def test_batching_does_not_change_rows(model: LoadedModel, texts: list[str], budget: int) -> None:
    one = encoder(model, key_dtype=np.dtype(np.float32))
    documents = one.tokenize(texts)
    keys, values, lengths = one.encode(documents)
    other_keys, other_values, other_lengths = encoder(
        model, batch_tokens=budget, key_dtype=np.dtype(np.float32)
    ).encode(documents)
    np.testing.assert_array_equal(values, other_values)
    np.testing.assert_array_equal(lengths, other_lengths)
    np.testing.assert_allclose(keys, other_keys, atol=2e-5)


def test_the_same_blocks_give_the_same_bytes(model: LoadedModel) -> None:
    documents = encoder(model).tokenize(TEXTS)
    first, second = (encoder(model).encode(documents)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_nothing_to_encode(model: LoadedModel) -> None:
    keys, values, lengths = encoder(model).encode([])
    assert keys.shape == (0, 16)
    assert len(values) == len(lengths) == 0
    assert encoder(model).tokenize([]) == []


def test_the_head_never_runs(model: LoadedModel) -> None:
    calls: list[int] = []
    hook = model.model.lm_head.register_forward_hook(lambda *_: calls.append(1))
    encoding = encoder(model)
    encoding.encode(encoding.tokenize(TEXTS))
    hook.remove()
    assert not calls


def test_progress_adds_up(model: LoadedModel) -> None:
    encoding = encoder(model)
    seen: list[int] = []
    keys, _, _ = encoding.encode(encoding.tokenize(TEXTS), seen.append)
    assert sum(seen) == len(keys)


def with_hidden_scaled(folder: Path, factor: float) -> LoadedModel:
    model = load_model(resolve(str(tiny_model_folder(folder))), device="cpu", precision="fp32")
    model.model.transformer.h[-1].ln_2.weight.mul_(factor)
    return model


def test_keys_beyond_float16_are_refused_with_what_to_do(tmp_path: Path) -> None:
    model = with_hidden_scaled(tmp_path / "m", 1e6)
    encoding = encoder(model)
    with pytest.raises(IncompatibleError, match=r"reaches [\d,]+; float16 ends at 65,504") as caught:
        encoding.encode(encoding.tokenize(TEXTS))
    assert caught.value.hint and "--key-dtype float32" in caught.value.hint
    keys, _, _ = encoder(model, key_dtype=np.dtype(np.float32)).encode(encoding.tokenize(TEXTS))
    assert np.isfinite(keys).all()
    assert keys.dtype == np.float32


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_broken_model_is_not_called_an_overflow(tmp_path: Path, factor: float) -> None:
    encoding = encoder(with_hidden_scaled(tmp_path / "m", factor))
    with pytest.raises(GoodctlError, match="NaN or infinity"):
        encoding.encode(encoding.tokenize(TEXTS))


def test_out_of_memory_halves_the_batch_and_goes_on(model: LoadedModel) -> None:
    encoding = encoder(model, batch_tokens=512)
    expected = encoding.encode(encoding.tokenize(TEXTS))[0]

    def refuse_large(_module: Any, args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].numel() > 130:
            raise torch.OutOfMemoryError

    hook = model.model.transformer.register_forward_pre_hook(refuse_large, with_kwargs=True)
    try:
        keys = encoding.encode(encoding.tokenize(TEXTS))[0]
    finally:
        hook.remove()
    assert encoding.batch_tokens == 128
    np.testing.assert_allclose(keys.astype(np.float32), expected.astype(np.float32), atol=1e-2)


def test_out_of_memory_for_good_says_what_to_do(model: LoadedModel) -> None:
    encoding = encoder(model)

    def refuse(*_: Any) -> None:
        raise torch.OutOfMemoryError

    hook = model.model.transformer.register_forward_pre_hook(refuse)
    try:
        with pytest.raises(ServiceError, match="out of memory"):
            encoding.encode(encoding.tokenize(TEXTS))
    finally:
        hook.remove()


def test_defaults(model: LoadedModel) -> None:
    assert default_window(model) == 64
    assert default_batch_tokens(torch.device("cpu")) == 2048
    assert Encoder.block_size(2048, 1284) == 32 * 2048
    assert Encoder.block_size(65536, 16388) == 4 * 65536, "long keys make smaller blocks"


@pytest.mark.gpu
def test_cuda_gives_the_same_rows(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "m")
    on_cpu, on_cuda = (load_model(resolve(str(folder)), device=name, precision="fp32") for name in ("cpu", "cuda"))
    documents = encoder(on_cpu).tokenize(TEXTS)
    expected, keys = (
        encoder(model, key_dtype=np.dtype(np.float32)).encode(documents)[0] for model in (on_cpu, on_cuda)
    )
    np.testing.assert_allclose(keys, expected, atol=1e-3)
