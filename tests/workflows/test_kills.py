"""SIGKILL at random moments: the store is what it was, and the same command ends with the same rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from goodctl.corpus import Corpus
from goodctl.datastore.store import Datastore
from goodctl.errors import ExistsError, NotFoundError
from goodctl.index.search import Searcher
from goodctl.workflows.build import add, build
from goodctl.workflows.choices import EncodingChoice, Text
from goodctl.workflows.index import index
from goodctl.workflows.index_choice import IndexChoice
from goodctl.workflows.model_choice import ModelChoice

pytestmark = pytest.mark.slow

KILLS = 14
ARRAYS = ("keys", "values", "offsets", "document_sources", "document_lines")
ENCODING = EncodingChoice(batch_tokens=64)


def write_texts(file: Path, word: str, count: int) -> Path:
    file.write_text("".join(f"This is {word} number {number}, unlike the others.\n" for number in range(count)))
    return file


def contents(store: Path) -> list[tuple[str, list[bytes]]]:
    opened = Datastore.open(str(store))
    return [
        (segment.language, [opened.read(segment, name).tobytes() for name in ARRAYS]) for segment in opened.segments
    ]


def readable(store: Path) -> bool:
    try:
        Datastore.open(str(store))
    except NotFoundError:
        return False
    return True


def text(file: Path, language: str) -> Text:
    return Text(Corpus((str(file),), language=language))


def command(name: str, store: Path, file: Path, language: str, model: str) -> list[str]:
    start = [sys.executable, "-m", "goodctl", "datastore", name, str(store), str(file), "--model", model]
    return [*start, "-l", language, "--batch-tokens", "64", "--precision", "fp32", "--checkpoint-every", "0.2"]


def run(arguments: list[str], kill_after_s: float | None) -> bool:
    """Run a command; kill it after some time, if it is told. Returns whether it came to its end."""
    process = subprocess.Popen(
        arguments, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return process.wait(kill_after_s) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def test_build(tmp_path: Path, tiny: str) -> None:
    file = write_texts(tmp_path / "en.txt", "sentence", 4000)
    started = time.monotonic()
    assert run(command("build", tmp_path / "whole", file, "en", tiny), None)
    whole_s = time.monotonic() - started
    expected = contents(tmp_path / "whole")
    rng = np.random.default_rng(0)
    store, resumed = tmp_path / "s", 0
    kills = 0
    while kills < KILLS:
        ended = run(command("build", store, file, "en", tiny), rng.uniform(0.2, 0.95) * whole_s)
        kills += not ended
        if readable(store):  # killed after the commit: it is all there
            assert contents(store) == expected
            shutil.rmtree(store)
            continue
        assert not ended
        copy = tmp_path / "copy"
        if store.exists():
            shutil.copytree(store, copy)
        choice = ModelChoice(tiny, device="cpu", precision="fp32")
        resumed += build(str(copy), text(file, "en"), choice, encoding=ENCODING).resumed_rows > 0
        assert contents(copy) == expected
        shutil.rmtree(copy)
    assert resumed >= KILLS // 4, "most kills should come after the first checkpoint"


def test_add(tmp_path: Path, tiny: str) -> None:
    choice = ModelChoice(tiny, device="cpu", precision="fp32")
    first = tmp_path / "first"
    build(str(first), text(write_texts(tmp_path / "en.txt", "sentence", 300), "en"), choice)
    before = contents(first)
    file = write_texts(tmp_path / "fr.txt", "phrase", 4000)
    whole = tmp_path / "whole"
    shutil.copytree(first, whole)
    started = time.monotonic()
    assert run(command("add", whole, file, "fr", tiny), None)
    whole_s = time.monotonic() - started
    expected = contents(whole)
    rng = np.random.default_rng(1)
    store = tmp_path / "s"
    shutil.copytree(first, store)
    kills = resumed = 0
    while kills < KILLS:
        ended = run(command("add", store, file, "fr", tiny), rng.uniform(0.2, 0.95) * whole_s)
        now = contents(store)
        if ended or now != before:  # killed after the commit: it is all there
            assert now == expected
            shutil.rmtree(store)
            shutil.copytree(first, store)
            kills += not ended
            continue
        kills += 1
        copy = tmp_path / "copy"
        shutil.copytree(store, copy)
        resumed += add(str(copy), text(file, "fr"), choice, encoding=ENCODING).resumed_rows > 0
        assert contents(copy) == expected
        with pytest.raises(ExistsError, match="has this text already"):
            add(str(copy), text(file, "fr"), choice, encoding=ENCODING)
        shutil.rmtree(copy)
    assert resumed >= KILLS // 4


def test_index(tmp_path: Path, tiny: str) -> None:
    choice = ModelChoice(tiny, device="cpu", precision="fp32")
    first = tmp_path / "first"
    english = text(write_texts(tmp_path / "en.txt", "sentence", 1500), "en")
    build(str(first), english, choice, index=IndexChoice("exact"))
    before = contents(first)
    arguments = [sys.executable, "-m", "goodctl", "datastore", "index", "", "--index", "ivf-sq8", "-k", "32"]
    whole = tmp_path / "whole"
    shutil.copytree(first, whole)
    arguments[5] = str(whole)
    assert run(arguments, None)  # the first one also fills the system's caches
    started = time.monotonic()
    assert run(arguments, None)
    whole_s = time.monotonic() - started
    codec = Datastore.open(str(whole)).segments[0].codes
    assert codec is not None
    rng = np.random.default_rng(2)
    kills = unfinished = 0
    while kills < KILLS:
        store = tmp_path / "s"
        shutil.copytree(first, store)
        arguments[5] = str(store)
        kills += not run(arguments, rng.uniform(0.55, 0.99) * whole_s)
        assert contents(store) == before
        now = Datastore.open(str(store)).segments[0].codes
        unfinished += now is None
        assert now is None or now.codec == codec.codec, "all or nothing"
        index(str(store), IndexChoice("ivf-sq8", k=32))
        again = Datastore.open(str(store)).segments[0].codes
        assert again is not None
        assert again.codec == codec.codec
        searcher = Searcher.open([str(store)])
        assert len(searcher.search(np.zeros((1, searcher.header.dimension), np.float32), 40).rows[0]) == 40
        shutil.rmtree(store)
    assert unfinished >= KILLS // 4
