"""SIGKILL at random moments of the commands that need no model: everything or nothing, and again is as well."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import goodctl
from goodctl.cli.app import app
from goodctl.datastore.compaction import compact
from goodctl.datastore.history import log
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.store import Datastore
from goodctl.errors import GoodctlError, NotFoundError
from goodctl.workflows.verify import verify
from tests.datastore.contents import documents
from tests.index.stores import keys, rows_of, split, write

pytestmark = pytest.mark.slow

KILLS = 16
DIMENSION = 256
ARRAYS = ("keys", "values", "offsets", "document_sources", "document_lines")

Content = list[tuple[str, str | None, tuple[str, ...]]]
State = dict[str, Content]


def write_store(folder: Path, seed: int, languages: Sequence[str], *, count: int = 6000) -> None:
    """Some MB a language, in parts of 1 MB; each language is a version of its own."""
    for number, language in enumerate(languages):
        batch = rows_of(keys(seed + number, count, DIMENSION))
        pieces = split(batch, *range(2000, count, 2000))
        write(folder, *((language, piece) for piece in pieces), job=f"{seed}-{number}", part_bytes=2**20)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``a`` of some versions, and ``b`` to merge it with."""
    folder = tmp_path_factory.mktemp("kills") / "stores"
    write_store(folder / "a", 0, ["en", "en", "fr", "en"])
    write_store(folder / "b", 10, ["de", "fr"])
    return folder


def content(store: Path | str) -> Content:
    """Language, label and a hash of every array of each segment; bytes are compared with the recorded hashes."""
    opened = Datastore.open(str(store), check=True)
    return [
        (
            segment.language,
            segment.label,
            tuple(hashlib.sha256(opened.read(segment, name).tobytes()).hexdigest() for name in ARRAYS),
        )
        for segment in opened.segments
    ]


def newest(store: Path) -> Content | None:
    """Content of the newest version; None where there is no finished one."""
    try:
        Datastore.open(str(store))
    except NotFoundError:
        return None
    return content(store)


def check_every_version(store: Path) -> None:
    """Every version that the log lists can be opened, and nothing is damaged."""
    for entry in log(str(store)):
        Datastore.open(f"{store}@{entry.snapshot}", check=True)
    assert not verify(str(store), deep=True, device="cpu").problems


def files(folder: Path) -> set[tuple[str, int, int]]:
    """The files of a folder, with what tells one from another that took its place."""
    found = set()
    for where, _, names in os.walk(folder):  # what disappears meanwhile is no error for it
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = Path(where, name).stat()
                found.add((str(Path(where, name)), status.st_size, status.st_mtime_ns))
    return found


@dataclass
class Kill:
    """When a process is killed: after some time, or as soon as some files have changed."""

    after_s: float | None = None
    changes: int | None = None


def errors_of(folder: Path) -> Path:
    """What the command in a folder said."""
    return folder.with_suffix(".txt")


def run(arguments: Sequence[str], folder: Path, kill: Kill | None = None) -> bool:
    """Run ``goodctl datastore`` in a folder; kill it, if it is told. Returns whether it came to its end."""
    before = files(folder)
    place = str(Path(goodctl.__file__).parents[1])
    with errors_of(folder).open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "goodctl", "datastore", *arguments],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": place},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        if kill and kill.changes is not None:
            while process.poll() is None and len(files(folder) ^ before) < kill.changes:
                time.sleep(0.001)
        else:
            process.wait(kill.after_s if kill else None)
    except subprocess.TimeoutExpired:
        pass
    if process.poll() is None:
        process.kill()
        process.wait()
    return process.returncode == 0


def again(arguments: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The same command in this process: exit code and what it said."""
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, ["datastore", *arguments])
    if isinstance(result.exception, GoodctlError):  # the console script turns it into an exit code
        return result.exception.exit_code, result.exception.message
    assert result.exception is None, result.output
    return result.exit_code, result.output


def kill_often(
    stores: Path,
    tmp_path: Path,
    arguments: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    state: Callable[[Path], object],
    check: Callable[[Path], None],
    when_complete: Sequence[int] = (0,),
    partly: Callable[[object], bool] = lambda _: False,
    seed: int = 0,
) -> object:
    """Run a command in copies of a folder and kill it at random moments; then run it again.

    Args:
        stores: The folder, as the command finds it.
        tmp_path: For the copies.
        arguments: The command.
        monkeypatch: To run it again.
        state: What is in a folder that the command changes.
        check: Checks what is there, before and after the command has been run again.
        when_complete: Exit codes of the command when there is nothing left to do.
        partly: Whether a state between the first and the last is allowed.
        seed: Of the moments.

    Returns:
        The state after the command.
    """
    before, times = state(stores), []
    for number in range(2):  # the first one fills the system's caches
        whole = tmp_path / f"whole-{number}"
        shutil.copytree(stores, whole)
        started = time.monotonic()
        assert run(arguments, whole), errors_of(whole).read_text()
        times.append(time.monotonic() - started)
    changes = len(files(tmp_path / "whole-1") ^ files_of_copy(stores, tmp_path / "whole-1"))
    expected = state(tmp_path / "whole-1")
    assert expected == state(tmp_path / "whole-0") != before
    rng = np.random.default_rng(seed)
    kills = unfinished = 0
    for attempt in range(4 * KILLS):
        folder = tmp_path / f"{attempt}"
        shutil.copytree(stores, folder)
        by_time = Kill(after_s=rng.uniform(0.4, 0.99) * min(times))
        by_files = Kill(changes=int(rng.integers(1, changes + 1)))
        ended = run(arguments, folder, by_time if attempt % 2 else by_files)
        now = state(folder)
        assert now in (before, expected) or partly(now)
        assert now == expected or not ended
        check(folder)
        kills += not ended
        unfinished += now != expected
        code, said = again(arguments, folder, monkeypatch)
        assert code == 0 or (now == expected and code in when_complete), said
        assert state(folder) == expected
        check(folder)
        shutil.rmtree(folder)
        if kills == KILLS:
            break
    assert kills == KILLS
    assert unfinished >= KILLS // 4, "most kills should come before the end"
    return expected


def files_of_copy(original: Path, copy: Path) -> set[tuple[str, int, int]]:
    """Files as they were in a copy before anything changed there; ``copytree`` keeps times."""
    return {(str(copy / Path(name).relative_to(original)), size, at) for name, size, at in files(original)}


def test_merge(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(folder: Path) -> None:
        if newest(folder / "new") is not None:
            check_every_version(folder / "new")

    arguments = ["merge", "new", "a", "b", "--device", "cpu"]
    result = kill_often(
        stores,
        tmp_path,
        arguments,
        monkeypatch,
        state=lambda folder: newest(folder / "new"),
        check=check,
        when_complete=(4,),
    )
    assert result == content(stores / "a") + content(stores / "b")


def test_merge_into(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = kill_often(
        stores,
        tmp_path,
        ["merge", "--into", "a", "b", "--device", "cpu"],
        monkeypatch,
        state=lambda folder: newest(folder / "a"),
        check=lambda folder: check_every_version(folder / "a"),
    )
    assert result == content(stores / "a") + content(stores / "b")


def test_shard(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"000{number}-of-0003" for number in (1, 2, 3)]

    def state(folder: Path) -> list[Content | None]:
        return [newest(folder / "out" / name) for name in names]

    def partly(now: object) -> bool:
        whole = state(tmp_path / "whole-0")
        assert isinstance(now, list)
        made = sum(each is not None for each in now)
        return now == [*whole[:made], *[None] * (3 - made)]

    def check(folder: Path) -> None:
        for name in names:
            if newest(folder / "out" / name) is not None:
                check_every_version(folder / "out" / name)

    kill_often(stores, tmp_path, ["shard", "a", "out", "-n", "3"], monkeypatch, state=state, check=check, partly=partly)
    shards = [document for name in names for document in documents(tmp_path / "whole-0" / "out" / name)]
    assert shards == documents(stores / "a")


def test_remove(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["remove", "a", "-l", "en", "--document", "some.txt:5", "--document", "some.txt:800"]
    kill_often(
        stores,
        tmp_path,
        arguments,
        monkeypatch,
        state=lambda folder: newest(folder / "a"),
        check=lambda folder: check_every_version(folder / "a"),
        when_complete=(3,),
    )
    after = documents(tmp_path / "whole-0" / "a")
    assert after == [each for each in documents(stores / "a") if each.language != "en" or each.line not in {5, 800}]


def test_compact(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_often(
        stores,
        tmp_path,
        ["compact", "a"],
        monkeypatch,
        state=lambda folder: newest(folder / "a"),
        check=lambda folder: check_every_version(folder / "a"),
    )
    assert documents(tmp_path / "whole-0" / "a") == documents(stores / "a")
    assert len(Datastore.open(str(tmp_path / "whole-0" / "a")).segments) == 3


def test_rollback(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = [entry.snapshot for entry in log(str(stores / "a"))]

    def check(folder: Path) -> None:
        check_every_version(folder / "a")
        assert set(old) <= {entry.snapshot for entry in log(str(folder / "a"))}, "no version is lost"

    result = kill_often(
        stores,
        tmp_path,
        ["rollback", "a", old[2]],
        monkeypatch,
        state=lambda folder: newest(folder / "a"),
        check=check,
    )
    assert result == content(f"{stores}/a@~2")


def test_gc(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "start"
    shutil.copytree(stores, folder)
    compact(str(folder / "a"))
    remove(str(folder / "a"), Removal(documents=("some.txt:5",), languages=("fr",)))
    remove(str(folder / "a"), Removal(documents=("some.txt:800",), languages=("en",)))
    kept = [content(f"{folder}/a@~{age}") for age in (0, 1)]

    def check(folder: Path) -> None:
        check_every_version(folder / "a")
        assert [content(f"{folder}/a@~{age}") for age in (0, 1)] == kept

    def state(folder: Path) -> set[str]:
        """Files that take room: a run that was killed may have got rid of some of them."""
        kinds = ("chunks", "manifests", "snapshots", "transactions")
        return {path.name for kind in kinds for path in (folder / "a" / "repository" / kind).iterdir()}

    def partly(now: object) -> bool:
        assert isinstance(now, set)
        return state(tmp_path / "whole-0") <= now <= state(folder)

    arguments = ["gc", "a", "--keep-last", "2"]
    kill_often(folder, tmp_path, arguments, monkeypatch, state=state, check=check, partly=partly)
    assert len(log(str(tmp_path / "whole-0" / "a"))) == 2
    assert newest(tmp_path / "whole-0" / "a") == kept[0]
