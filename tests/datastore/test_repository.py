from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from goodctl.datastore.format import KEYS
from goodctl.datastore.repository import (
    Repository,
    check_place,
    discard_place,
    is_store,
    missing_folders,
    writer_lock,
)
from goodctl.datastore.store import Datastore
from goodctl.datastore.summary import summary
from goodctl.errors import ConflictError, DamagedError, ExistsError, NotFoundError, ServiceError
from tests.datastore.rows import rows, write, writer


def test_opening_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no datastore") as caught:
        Repository.open(str(tmp_path / "nosuch"))
    assert caught.value.hint and "goodctl datastore build" in caught.value.hint
    assert not (tmp_path / "nosuch").exists()


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file.txt").touch()
    with pytest.raises(NotFoundError, match="is a folder, but not a datastore"):
        Repository.open(str(tmp_path))
    with pytest.raises(NotFoundError, match="is a file, but not a datastore"):
        Repository.open(str(tmp_path / "file.txt"))


def test_places_for_a_new_store(tmp_path: Path) -> None:
    check_place(str(tmp_path / "new"))
    (tmp_path / "empty").mkdir()
    check_place(str(tmp_path / "empty"))
    (tmp_path / "empty" / "repository.tmp-abc").mkdir()  # a build that was killed at once
    check_place(str(tmp_path / "empty"))
    (tmp_path / "empty" / "mine.txt").touch()
    with pytest.raises(ExistsError, match=r"other files: mine\.txt"):
        check_place(str(tmp_path / "empty"))
    with pytest.raises(ExistsError, match="is a file"):
        check_place(str(tmp_path / "empty" / "mine.txt"))


def test_creating_sweeps_what_a_killed_creation_left(tmp_path: Path) -> None:
    left = tmp_path / "s" / "repository.tmp-dead"
    left.mkdir(parents=True)
    Repository.create(str(tmp_path / "s"))
    assert not left.exists()
    assert is_store(str(tmp_path / "s"))
    assert list((tmp_path / "s").iterdir()) == [tmp_path / "s" / "repository"]


@pytest.mark.parametrize("there", ["", "new", "new/deep", "new/deep/s"])
def test_taking_back(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    folder = tmp_path / "new" / "deep" / "s"
    made = missing_folders(str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    Repository.create(str(folder))
    discard_place(str(folder), made)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "/".join(there.split("/")[: number + 1]) for number in range(len(there.split("/"))) if there
    ]


def test_a_kill_while_taking_back_leaves_no_half_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    Repository.create(str(folder))

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            discard_place(str(folder), [str(folder)])
    assert not is_store(str(folder))
    check_place(str(folder))
    Repository.create(str(folder))
    assert [entry.name for entry in folder.iterdir()] == ["repository"]


def test_taking_back_spares_what_is_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    Repository.create(str(folder))
    (folder / "mine.txt").touch()
    discard_place(str(folder), [str(folder)])
    assert [entry.name for entry in folder.iterdir()] == ["mine.txt"]


_HOLD = """
import sys
from goodctl.datastore.repository import writer_lock
with writer_lock(sys.argv[1], "goodctl datastore add"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_writers_exclude_one_another_and_say_who_it_is(tmp_path: Path) -> None:
    location = str(tmp_path / "s")
    write(tmp_path / "s", "build", ("en", rows(0)))
    command = [sys.executable, "-c", _HOLD, location]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with (
            pytest.raises(ConflictError, match=rf"process {other.pid} on .*goodctl datastore add") as caught,
            writer_lock(location, "test"),
        ):
            pass
        assert caught.value.exit_code == 4
        assert Datastore.open(location).rows == len(rows(0).values), "readers are not blocked"
        other.kill()
    with writer_lock(location, "test"):
        pass  # the kernel has freed the lock of the dead


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), writer_lock(str(tmp_path / "s"), "test"):
            raise ZeroDivisionError


def test_a_missing_chunk_is_damage_not_zeros(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0, documents=200)))
    largest = max((folder / "repository" / "chunks").iterdir(), key=lambda file: file.stat().st_size)
    largest.unlink()
    store = Datastore.open(str(folder))
    with pytest.raises(DamagedError) as caught:
        store.read(store.segments[0], KEYS)
    assert caught.value.exit_code == 6


def test_a_missing_manifest_is_damage(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0, documents=200)))
    shutil.rmtree(folder / "repository" / "manifests")
    store = Datastore.open(str(folder))
    with pytest.raises(DamagedError):
        store.read(store.segments[0], KEYS)


def test_summary_names_everything(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)), label="toxic")
    unfinished = writer(folder, "more")
    unfinished.append("fr", rows(1))
    unfinished.checkpoint({"position": 1})
    described = summary(Datastore.open(str(folder)))
    count = len(rows(0).values)
    assert described["rows"] == count
    assert described["languages"] == {"en": {"rows": count, "documents": 5}}
    assert described["labels"] == {"toxic": {"rows": count, "documents": 5}}
    assert described["sources"][0]["name"] == "some.txt"
    assert described["segments"][0]["bytes"] == count * (16 + 4) + 5 * 20
    assert described["disk"]["repository_bytes"] > described["disk"]["version_bytes"]
    assert sum(token["count"] for token in described["frequent_tokens"]) <= count
    assert described["frequent_tokens"][0]["text"] == f"<{described['frequent_tokens'][0]['id']}>"
    assert described["unfinished"][0]["rows"] == len(rows(1).values)


_FULL_DISK = """
import sys
from pathlib import Path
from goodctl.errors import ServiceError
from tests.datastore.rows import rows, write
try:
    for seed in range(10000):
        write(Path(sys.argv[1]), f"job{seed}", ("en", rows(seed, documents=2000, longest=90)))
except ServiceError as error:
    print("FULL", seed, error.message, flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        command = [sys.executable, "-c", _FULL_DISK, str(small / "s")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "FULL" in ended.stdout, ended.stderr
        assert "The disk is full" in ended.stdout
        written = int(ended.stdout.split()[1])
        store = Datastore.open(str(small / "s"))
        assert len(store.segments) == written >= 2
        for seed, segment in enumerate(store.segments):
            assert store.read(segment, KEYS).tobytes() == rows(seed, documents=2000, longest=90).keys.tobytes()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_store_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, "build", ("en", rows(0)))
    if os.geteuid() == 0:
        bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True).returncode
        if bound or subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
    else:
        folder.chmod(0o555)
    try:
        assert Datastore.open(str(folder)).rows == len(rows(0).values)
        with pytest.raises(ServiceError), writer_lock(str(folder), "test"):
            pass
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        folder.chmod(0o755)
