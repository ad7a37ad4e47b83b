"""The fingerprint: the same for copies of one model, different for whatever changes a hidden state."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from goodctl.errors import DamagedError, NotFoundError
from goodctl.models import weight_files
from goodctl.models.fingerprint import Fingerprint, fingerprint
from goodctl.models.load import load_model, load_tokenizer
from goodctl.models.origin import record_origin
from goodctl.models.source import ModelSource, resolve
from goodctl.progress import Progress
from tests.fakes.tiny import tiny_model, tiny_model_folder, tiny_tokenizer


def taken(folder: Path) -> Fingerprint:
    source = ModelSource("tiny", folder)
    return fingerprint(source, load_tokenizer(source))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model_folder(tmp_path / "tiny", architecture="llama")


def test_is_what_it_says(folder: Path) -> None:
    found = taken(folder)
    assert all(len(value) == 64 for value in found.to_dict().values())
    assert list(found.to_dict()) == ["config", "tokenizer", "weights"]
    assert Fingerprint.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert len(found.short) == 16
    assert found.differences(found) == []
    assert Fingerprint("a", "b", "c").differences(Fingerprint("a", "x", "y")) == ["tokenizer", "weights"]
    assert Fingerprint("a", "b", "c").short != Fingerprint("a", "b", "d").short


def test_weights_by_another_way(folder: Path) -> None:
    """The hash as a reader of the description would compute it, with torch."""
    lines = []
    for name, tensor in load_file(folder / "model.safetensors").items():
        digest = hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        lines.append([name, "F32", json.dumps(list(tensor.shape)), digest])
    assert taken(folder).weights == hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()


def test_same_for_another_precision(folder: Path) -> None:
    source = ModelSource("tiny", folder)
    prints = {
        fingerprint(source, load_model(source, device="cpu", precision=precision).tokenizer)
        for precision in ("bf16", "fp32")
    }
    assert prints == {taken(folder)}


def test_same_for_other_shards(tmp_path: Path, folder: Path) -> None:
    source = ModelSource("tiny", folder)
    loaded = load_model(source, device="cpu", precision="fp32")
    loaded.model.save_pretrained(tmp_path / "shards", max_shard_size="10KB")
    loaded.tokenizer.save_pretrained(tmp_path / "shards")
    assert len(weight_files.weight_files(tmp_path / "shards")) > 2
    assert taken(tmp_path / "shards") == taken(folder)


def test_same_for_a_copy_another_template_and_another_library(tmp_path: Path, folder: Path) -> None:
    before = taken(folder)
    copy = shutil.copytree(folder, tmp_path / "another name")
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    config = json.loads((copy / "config.json").read_text())
    config |= {"transformers_version": "9.9", "dtype": "bfloat16", "torch_dtype": "float16", "use_cache": False}
    config["_name_or_path"] = "elsewhere"
    (copy / "config.json").write_text(json.dumps(dict(reversed(config.items())), indent=7))
    assert taken(copy) == before
    assert load_tokenizer(ModelSource("copy", copy)).chat_template


def test_one_weight(folder: Path) -> None:
    before = taken(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] += 1e-6
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert before.differences(taken(folder)) == ["weights"]


@pytest.mark.parametrize("change", ["name", "shape", "dtype"])
def test_same_bytes_under_another_description(folder: Path, change: str) -> None:
    before = taken(folder)
    tensors = load_file(folder / "model.safetensors")
    norm = tensors.pop("model.norm.weight")
    tensors |= {
        "name": {"model.other.weight": norm},
        "shape": {"model.norm.weight": norm.reshape(2, -1)},
        "dtype": {"model.norm.weight": norm.view(torch.int32)},
    }[change]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert before.differences(taken(folder)) == ["weights"]


def test_one_value_of_the_config(folder: Path) -> None:
    before = taken(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert before.differences(taken(folder)) == ["config"]
    (folder / "config.json").write_text("{")
    with pytest.raises(DamagedError):
        fingerprint(ModelSource("tiny", folder), tiny_tokenizer())


def test_the_tokenizer(folder: Path) -> None:
    source = ModelSource("tiny", folder)
    before = fingerprint(source, tiny_tokenizer())
    longer = tiny_tokenizer()
    longer.add_tokens(["never seen in a probe"])
    swapped = tiny_tokenizer(bos=True)
    no_end = tiny_tokenizer()
    no_end.eos_token = None
    for other in (longer, swapped, no_end):
        assert before.differences(fingerprint(source, other)) == ["tokenizer"]
    assert fingerprint(source, tiny_tokenizer()) == before


def test_normaliser_shows_in_the_probes(folder: Path) -> None:
    from tokenizers import normalizers

    source = ModelSource("tiny", folder)
    lower = tiny_tokenizer()
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    composed = tiny_tokenizer()
    composed.backend_tokenizer.normalizer = normalizers.NFC()
    prints = {fingerprint(source, each).tokenizer for each in (tiny_tokenizer(), lower, composed)}
    assert len(prints) == 3


class Counting:
    """Counts how often weights are really read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0

        def counted(*args: Any) -> str:
            self.calls += 1
            return weight_files.hash_weights(*args)

        monkeypatch.setattr("goodctl.models.fingerprint.hash_weights", counted)


def test_weights_are_read_once(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    first = taken(folder)
    assert taken(folder) == first
    assert counting.calls == 1
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    stat = weights.stat()
    weights.write_bytes(content)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert taken(folder).weights != first.weights
    assert counting.calls == 2


def test_cache_that_is_damaged_or_cannot_be_written(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    first = taken(folder)
    (entry,) = (own_cache / "hashes").iterdir()
    for damage in ("", "{", "[]", '{"kind": "weights"}', "\x00"):
        entry.write_text(damage)
        assert taken(folder) == first
    assert counting.calls == 6
    blocked = own_cache / "blocked"
    blocked.touch()
    monkeypatch.setenv("GOODCTL_CACHE", str(blocked))
    assert taken(folder) == first
    assert counting.calls == 7


def test_reports_bytes(folder: Path) -> None:
    events: list[Progress] = []
    source = ModelSource("tiny", folder)
    fingerprint(source, load_tokenizer(source), events.append)
    assert events[-1].finished
    assert events[-1].done == events[-1].total == (folder / "model.safetensors").stat().st_size


def test_pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(tiny_model(architecture="llama").state_dict(), folder / "pytorch_model.bin")
    first = taken(folder)
    torch.save(tiny_model(architecture="llama", seed=1).state_dict(), folder / "pytorch_model.bin")
    assert first.differences(taken(folder)) == ["weights"]
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(NotFoundError, match="no weights"):
        taken(folder)


@pytest.mark.parametrize("content", [b"", b"1234", b"\xff" * 20, (2).to_bytes(8, "little") + b"[]"])
def test_files_that_are_no_safetensors(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(DamagedError, match="no whole safetensors"):
        taken(folder)


def test_truncated_and_missing_shards(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DamagedError):
        taken(folder)
    weights.unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}))
    with pytest.raises(DamagedError, match="lacks model-00001"):
        taken(folder)
    index.write_text("{}")
    with pytest.raises(DamagedError, match="cannot be read"):
        taken(folder)


def test_an_unpacked_model_is_known_by_its_gguf(tmp_path: Path, own_cache: Path) -> None:
    pytest.importorskip("gguf")
    from tests.fakes.tiny_gguf import tiny_gguf

    source = resolve(str(tiny_gguf(tmp_path / "tiny.gguf")))
    tokenizer = load_tokenizer(source)
    before = fingerprint(source, tokenizer)
    config, noted = source.folder / "config.json", source.folder / "goodctl-origin.json"
    rendered = {**json.loads(config.read_text()), "a_key_of_a_later_version": True}
    # What another version of transformers would have unpacked.
    config.write_text(json.dumps(rendered))
    record_origin(source.folder, json.loads(noted.read_text())["gguf_sha256"])
    assert fingerprint(source, tokenizer) == before
    # What a user has edited by hand.
    config.write_text(json.dumps({**rendered, "rope_theta": 1.0}))
    assert fingerprint(source, tokenizer).differences(before) == ["config"]
    noted.write_text("broken")
    assert fingerprint(source, tokenizer).differences(before) == ["config"]
