"""Loading: device, precision, what is refused, and what the loaded model says of itself."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from goodctl.errors import DamagedError, IncompatibleError, NotFoundError, UsageError
from goodctl.models.device import choose_device, choose_precision
from goodctl.models.load import load_model, load_tokenizer
from goodctl.models.source import ModelSource
from tests.fakes.tiny import ARCHITECTURES, tiny_model, tiny_model_folder

CPU = torch.device("cpu")


def source_of(folder: Path) -> ModelSource:
    return ModelSource("tiny", folder)


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture(
    tmp_path: Path, architecture: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tiny_model_folder(tmp_path / "tiny", architecture=architecture, window=32, seed=5)
    capfd.readouterr()
    loaded = load_model(source_of(folder), device="cpu", precision="fp32")
    loaded.tokenizer("a" * 500, verbose=True)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert (loaded.name, loaded.device, loaded.precision, loaded.vocabulary) == ("tiny", CPU, "fp32", 258)
    assert loaded.window == (None if architecture == "bloom" else 32)
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        expected = tiny_model(architecture=architecture, window=32, seed=5)(ids).logits
        torch.testing.assert_close(loaded.model(ids).logits, expected)


def test_callers_logging_is_left_as_it_was(tmp_path: Path) -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity(logging.INFO)
    try:
        load_model(source_of(tiny_model_folder(tmp_path / "tiny")), device="cpu")
        assert transformers_logging.get_verbosity() == logging.INFO
        assert transformers_logging.is_progress_bar_enabled()
    finally:
        transformers_logging.set_verbosity_warning()


def test_precision(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "tiny")
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        assert load_model(source_of(folder), device="cpu", precision=precision).model.dtype == dtype


@pytest.mark.parametrize(
    ("avx512", "amx", "expected"), [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")]
)
def test_automatic_precision(monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert choose_precision("auto", CPU) == expected


def test_automatic_precision_where_torch_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert choose_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_automatic_precision_on_cuda(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose_precision("auto", torch.device("cuda")) == expected
    assert choose_precision("fp16", torch.device("cuda")) == "fp16"


def test_precision_and_device_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device() == CPU
    with pytest.raises(UsageError, match="fp8"):
        choose_precision("fp8", CPU)
    with pytest.raises(UsageError, match="fp16 needs a CUDA"):
        choose_precision("fp16", CPU)
    with pytest.raises(UsageError, match="gpu"):
        choose_device("gpu")
    for name in ("cuda", "cuda:3", "mps"):
        with pytest.raises(IncompatibleError, match=name):
            choose_device(name)


def test_devices_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device().type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().type == "cuda"


def test_encoder_decoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "is_encoder_decoder": True}))
    with pytest.raises(IncompatibleError, match="encoder-decoder"):
        load_model(source_of(tmp_path))


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "vit", "architectures": ["ViTForImageClassification"]},
        {"model_type": "distilbert"},
        {"model_type": "bert", "architectures": ["BertForMaskedLM"]},
        {"model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"]},
    ],
)
def test_no_causal_language_model(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(IncompatibleError, match="no causal language model"):
        load_model(source_of(tmp_path))


def test_unknown_architecture(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt17"}))
    with pytest.raises(IncompatibleError) as caught:
        load_model(source_of(tmp_path))
    assert "pip install -U transformers" in str(caught.value.hint)
    change_config(tmp_path, auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"})
    with pytest.raises(IncompatibleError) as caught:
        load_model(source_of(tmp_path))
    assert "--trust-remote-code" in str(caught.value.hint)


def test_config_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(NotFoundError, match=r"no config\.json that can be read"):
        load_model(source_of(tmp_path))


def test_missing_tokenizer(tmp_path: Path) -> None:
    tiny_model(architecture="llama").save_pretrained(tmp_path)
    with pytest.raises(NotFoundError, match="no tokenizer"):
        load_tokenizer(source_of(tmp_path))


def test_missing_and_damaged_weights(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "tiny")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(DamagedError, match="cannot be loaded"):
        load_model(source_of(folder))
    weights.unlink()
    with pytest.raises(NotFoundError, match="no weights"):
        load_model(source_of(folder))


def test_weights_that_lack_a_tensor(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_model_folder(tmp_path / "tiny", architecture="llama")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(IncompatibleError, match=r"lack 1 tensors .*layers\.1\.mlp\.up_proj"):
        load_model(source_of(folder))


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


def test_pickled_weights_are_read_but_their_code_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tiny_model_folder(tmp_path / "tiny")
    (folder / "model.safetensors").unlink()
    state = tiny_model().state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    assert load_model(source_of(folder), device="cpu", precision="fp32").vocabulary == 258
    torch.save(state | {"more": Harmful()}, folder / "pytorch_model.bin")
    with pytest.raises(DamagedError):
        load_model(source_of(folder), device="cpu")
    assert not Path("harmed").exists()
