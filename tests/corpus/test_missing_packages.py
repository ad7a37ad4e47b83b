from __future__ import annotations

import sys
from pathlib import Path

import pytest

from goodctl.corpus import Corpus
from goodctl.errors import MissingDependency

from .writing import write_texts


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_texts(tmp_path, ".parquet", ["a"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match=r"corpus\.parquet: reading Parquet needs pyarrow") as caught:
        Corpus((str(path),)).scan()
    assert caught.value.hint == "pip install 'goodctl[parquet]'"


def test_hub_without_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependency, match=r"^hf://a/b:train: reading datasets from the hub") as caught:
        Corpus(("hf://a/b:train",)).scan()
    assert caught.value.hint == "pip install 'goodctl[hub]'"
