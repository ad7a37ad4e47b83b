"""Finding and loading classifiers: what is refused, and with which way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from goodctl.errors import DamagedError, IncompatibleError, MissingDependency, NotFoundError, ServiceError, UsageError
from goodctl.models import hub
from goodctl.models.classifier import UNLIMITED, find_classifier, load_classifier
from goodctl.models.source import ModelSource
from tests.fakes.tiny import tiny_model_folder
from tests.fakes.tiny_classifier import tiny_classifier_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_classifier_folder(tmp_path / "tiny")


def load(folder: Path, name: str = "tiny") -> Any:
    return load_classifier(ModelSource(name, folder), device="cpu")


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_loaded_classifier(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    loaded = load(folder)
    assert (loaded.labels, loaded.window, loaded.pad_id, loaded.problem_type) == (("nontoxic", "toxic"), 64, 1, None)
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "distilbert", "gpt2"])
def test_the_longest_text_is_the_models_where_the_tokenizer_has_no_limit(tmp_path: Path, architecture: str) -> None:
    folder = tiny_classifier_folder(tmp_path / "tiny", architecture=architecture, window=32)
    path = folder / "tokenizer_config.json"
    stored = json.loads(path.read_text())
    del stored["model_max_length"]
    path.write_text(json.dumps(stored))
    loaded = load(folder)
    assert loaded.window == 32
    with torch.inference_mode():
        loaded.model(torch.full((1, 32), 5))  # one position more would be an index out of range


def test_neither_has_a_limit(tmp_path: Path) -> None:
    folder = tiny_classifier_folder(tmp_path / "tiny", architecture="xlnet", window=10**20)
    assert load(folder).window == UNLIMITED


def test_what_is_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"GPT2LMHeadModel\) is no sequence classifier"):
        load(tiny_model_folder(tmp_path / "causal"))
    with pytest.raises(IncompatibleError) as caught:
        load(tiny_model_folder(tmp_path / "PolyGuard-Qwen"), "ToxicityPrompts/PolyGuard-Qwen")
    assert "writes its judgement as text" in str(caught.value.hint)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(IncompatibleError, match=r"vit\) is no sequence classifier"):
        load(tmp_path)


def test_pickles_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
    with pytest.raises(IncompatibleError, match=r"pytorch_model\.bin") as caught:
        load(folder, "owner/model")
    assert "save_pretrained('converted')" in str(caught.value.hint)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(NotFoundError, match="no weights"):
        load(folder)


def test_pickles_are_not_even_downloaded(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def snapshot(_model: str, *, allow_patterns: list[str], **_: Any) -> str:
        asked.append(allow_patterns)
        (tmp_path / "config.json").write_text("{}")
        return str(tmp_path)

    assert hub.download("owner/model", pickled=False, snapshot_download=snapshot) == tmp_path
    assert len(asked) == 1
    assert not any("bin" in pattern for pattern in asked[0])


def test_a_head_that_is_not_in_the_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(IncompatibleError, match=r"lack 1 tensors .*classifier\.weight"):
        load(folder)


def test_damaged_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DamagedError, match="cannot be loaded"):
        load(folder)


def test_code_of_its_own_is_never_run(folder: Path) -> None:
    change_config(folder, model_type="own", auto_map={"AutoConfig": "code.Config"})
    with pytest.raises(IncompatibleError, match="code of its own") as caught:
        load(folder)
    assert "--trust-remote-code" not in str(caught.value.hint)


def test_a_tokenizer_that_needs_packages(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    change_config(folder, model_type="xlm-roberta", architectures=["XLMRobertaForSequenceClassification"])
    (folder / "sentencepiece.bpe.model").write_bytes(b"")
    with pytest.raises(MissingDependency) as caught:
        load(folder)
    assert caught.value.hint == "pip install sentencepiece protobuf"


def test_finding(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_classifier(str(folder)) == ModelSource(str(folder), folder)
    with pytest.raises(UsageError, match="no revision main"):
        find_classifier(str(folder), "main")
    with pytest.raises(NotFoundError, match=r"no config\.json"):
        find_classifier(str(tmp_path))
    for name in ("", "./nosuch", "/nosuch", "~/nosuch", "a/b/c", "nosuch/"):
        with pytest.raises(NotFoundError) as caught:
            find_classifier(name)
        assert "unitary/toxic-bert" in str(caught.value.hint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ServiceError, match="hub cannot be reached") as service:
        find_classifier("nobody/nothing")
    assert "unitary/toxic-bert" in str(service.value.hint)
