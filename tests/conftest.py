"""What all tests share: their own cache, and a tiny model that is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.tiny import tiny_model_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GOODCTL_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a tiny GPT-2 with a window of 64 tokens and a token a byte."""
    return str(tiny_model_folder(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="session")
def other_tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same architecture with other weights."""
    return str(tiny_model_folder(tmp_path_factory.mktemp("models") / "other", seed=1))
