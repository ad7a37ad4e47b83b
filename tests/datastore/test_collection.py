from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest

from goodctl.datastore.collect import gc, parse_age
from goodctl.datastore.history import log
from goodctl.datastore.names import create_branch, create_tag, delete_branch
from goodctl.datastore.reference import CHECKPOINT_PREFIX, MAIN
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.rollback import rollback
from goodctl.datastore.store import Datastore
from goodctl.errors import ConflictError, DamagedError, NotFoundError, UsageError
from goodctl.workflows.verify import verify
from tests.datastore.contents import documents
from tests.datastore.rows import rows, write, writer

DAY = datetime.timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Five versions."""
    for number in range(5):
        write(tmp_path / "s", f"job{number}", (f"l{number}", rows(number, 60)))
    return tmp_path / "s"


def snapshots(store: Path) -> list[str]:
    return [entry.snapshot for entry in log(str(store))]


def disk(store: Path) -> dict[str, int]:
    files = [file for file in store.rglob("*") if file.is_file() and not file.name.startswith(".lock")]
    return {str(file.relative_to(store)): file.stat().st_size for file in files}


def is_good(store: Path) -> bool:
    return verify(str(store), deep=True, device="cpu").is_good


def later(days: float = 1) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + days * DAY


def test_without_options_no_version_goes(store: Path) -> None:
    before = snapshots(store)
    result = gc(str(store))
    assert snapshots(store) == before
    assert (result.dropped, result.versions, result.size_bytes) == ((), 5, 0)
    assert is_good(store)


@pytest.mark.parametrize("keep", [1, 2, 4, 5, 9])
def test_the_newest_are_kept(store: Path, keep: int) -> None:
    before = snapshots(store)
    contents = {id: documents(f"{store}@{id}") for id in before}
    result = gc(str(store), keep_last=keep)
    assert snapshots(store) == before[:keep]
    assert [each.snapshot for each in result.dropped] == before[keep:]
    assert {id: documents(f"{store}@{id}") for id in before[:keep]} == {id: contents[id] for id in before[:keep]}
    for gone in before[keep:]:
        with pytest.raises(NotFoundError):
            Datastore.open(f"{store}@{gone}")
    assert is_good(store)


def test_an_age_and_a_number_must_both_hold(store: Path) -> None:
    assert not gc(str(store), older_than=DAY).dropped
    assert not gc(str(store), keep_last=5, older_than=DAY, now=later(2)).dropped
    assert len(gc(str(store), keep_last=3, older_than=DAY, now=later(2)).dropped) == 2
    assert not gc(str(store), keep_last=1, older_than=DAY).dropped
    assert len(gc(str(store), older_than=DAY, now=later(2)).dropped) == 2
    assert len(snapshots(store)) == 1
    assert is_good(store)


def test_tags_and_branches_stay(store: Path) -> None:
    before = snapshots(store)
    create_tag(f"{store}@~3", "paper")
    create_branch(f"{store}@~2", "trial")
    paper, trial = documents(f"{store}@paper"), documents(f"{store}@trial")
    result = gc(str(store), keep_last=1)
    assert {each.snapshot for each in result.dropped} == {before[1], before[4]}
    assert (documents(f"{store}@paper"), documents(f"{store}@trial")) == (paper, trial)
    delete_branch(str(store), "trial")
    assert [each.snapshot for each in gc(str(store)).dropped] == [], "nothing led to it any more"
    with pytest.raises(NotFoundError):
        Datastore.open(f"{store}@{before[2]}")
    assert is_good(store)


def test_what_a_removal_left_is_freed(store: Path) -> None:
    remove(str(store), Removal(languages=("l0", "l1", "l2", "l3")))
    before = sum(disk(store).values())
    result = gc(str(store), keep_last=1)
    assert result.files["chunks"] > 0 or result.files["manifests"] > 0
    assert sum(disk(store).values()) < before - 0.8 * result.size_bytes
    assert is_good(store)


def test_what_rollbacks_left_behind(store: Path) -> None:
    rollback(str(store), "~2")
    rollback(str(store), "~1")
    before = snapshots(store)
    assert len(before) == 7
    assert not gc(str(store)).dropped, "a rollback loses nothing"
    assert snapshots(store) == before
    gc(str(store), keep_last=2)
    assert snapshots(store) == before[:2]
    gc(str(store), keep_last=1)
    assert snapshots(store) == before[:1]
    assert len(documents(store)) == 5 * 60
    assert is_good(store)
    assert not [name for name in Repository.open(str(store)).branches() if name != MAIN]


def test_a_dry_run_says_exactly_what_would_go(store: Path) -> None:
    rollback(str(store), "~1")
    (store / "repository" / "chunks").mkdir(exist_ok=True)
    (store / "repository" / "chunks" / "LEFT#1").write_bytes(bytes(1000))
    before = disk(store)
    asked = gc(str(store), keep_last=2, dry_run=True)
    assert disk(store) == before
    done = gc(str(store), keep_last=2)
    assert (asked.dropped, asked.files, asked.size_bytes) == (done.dropped, done.files, done.size_bytes)
    assert asked.dry_run and not done.dry_run
    assert asked.files["temporary"] == 1


def test_left_temporary_files_are_swept(store: Path) -> None:
    chunks = store / "repository" / "chunks"
    chunks.mkdir(exist_ok=True)
    (chunks / "ABC#1").write_bytes(bytes(100))
    (store / "repository.tmp-abc").mkdir()
    (store / "repository.tmp-abc" / "file").write_bytes(bytes(50))
    (store / "checksums.sha256.xyz").write_bytes(bytes(5))
    result = gc(str(store))
    assert (result.files["temporary"], result.size_bytes) == (3, 155)
    assert not any("#" in name or "tmp-" in name or "xyz" in name for name in disk(store))


def test_chunks_that_nothing_leads_to_are_freed(store: Path) -> None:
    """A writer was killed before its commit: what it wrote is there, and nothing leads to it."""
    (store / "repository" / "chunks").mkdir(exist_ok=True)
    (store / "repository" / "chunks" / snapshots(store)[0]).write_bytes(bytes(2000))
    result = gc(str(store))
    assert (result.files["chunks"], result.size_bytes) == (1, 2000)


class TestUnfinishedWrites:
    def begin(self, store: Path, count: int = 40) -> Any:
        writing = writer(store, "left", part_bytes=500)
        writing.append("xx", rows(77, count))
        writing.checkpoint({"position": {}})
        return writing

    def test_they_stay_and_can_be_taken_up(self, store: Path) -> None:
        self.begin(store)
        assert not gc(str(store), keep_last=1).unfinished
        again = writer(store, "left", part_bytes=500)
        assert again.rows == len(rows(77, 40).values)
        again.finish({}, str, {"rows": again.rows, "documents": 40, "languages": {}})
        assert Datastore.open(str(store)).segments[-1].language == "xx"
        assert is_good(store)

    def test_old_ones_go_when_an_age_is_given(self, store: Path) -> None:
        self.begin(store)
        assert not gc(str(store), older_than=DAY).unfinished
        result = gc(str(store), older_than=DAY, keep_last=9, now=later(2))
        assert [each.rows for each in result.unfinished] == [len(rows(77, 40).values)]
        assert not Repository.open(str(store)).checkpoints()
        assert len(snapshots(store)) == 5

    def test_one_that_was_killed_before_the_branch_was_moved(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writing = self.begin(store)

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Repository, "move_branch", killed)
            with pytest.raises(KeyboardInterrupt):
                writing.finish({}, str, {"rows": 1, "documents": 1, "languages": {}})
        gc(str(store), keep_last=1)
        again = writer(store, "left", part_bytes=500)
        assert again.rows == len(rows(77, 40).values)

    def test_branches_that_hold_nothing_go(self, store: Path) -> None:
        repository = Repository.open(str(store))
        repository.create_branch(f"{CHECKPOINT_PREFIX}empty", repository.tip())
        repository.create_branch(f"{CHECKPOINT_PREFIX}moving-x", repository.tip())
        gc(str(store))
        assert not Repository.open(str(store)).checkpoints()


def test_it_keeps_away_from_a_writer(store: Path) -> None:
    with writer_lock(str(store), "test"), pytest.raises(ConflictError, match="is being written"):
        gc(str(store), keep_last=1)
    with writer_lock(str(store), "test"):
        assert len(gc(str(store), keep_last=1, dry_run=True).dropped) == 4


def test_it_keeps_away_from_a_damaged_store(store: Path) -> None:
    manifest = next((store / "repository" / "manifests").iterdir())
    content = bytearray(manifest.read_bytes())
    content[-1] ^= 1
    manifest.write_bytes(bytes(content))
    before = disk(store)
    for dry_run in (True, False):
        with pytest.raises(DamagedError, match="nothing is removed from it"):
            gc(str(store), keep_last=1, dry_run=dry_run)
    assert disk(store) == before


def test_a_damaged_branch_costs_nothing(store: Path) -> None:
    """A hidden branch keeps what a rollback left behind: pointing elsewhere, it would give it up."""
    rollback(str(store), "~2")
    (reference,) = (store / "repository" / "refs").glob("branch.rolled-back-*/ref.json")
    content = reference.read_bytes()
    reference.write_bytes(content[:15] + (b"0" if content[15:16] != b"0" else b"1") + content[16:])
    before = disk(store)
    for dry_run in (True, False):
        with pytest.raises(DamagedError, match="names a snapshot that is not there"):
            gc(str(store), dry_run=dry_run)
    assert disk(store) == before
    reference.write_bytes(content)
    assert len(snapshots(store)) == 6
    assert not gc(str(store)).dropped


def test_a_reader_that_checks_meanwhile_sees_no_damage(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read which hashes are recorded; then files are rewritten and deleted."""
    from goodctl.datastore.repository import checksums

    hashed, repository = checksums._sha256, Repository.open(str(store))

    def collected_first(path: Path) -> str:
        monkeypatch.setattr(checksums, "_sha256", hashed)
        assert len(gc(str(store), keep_last=1).dropped) == 4
        return hashed(path)

    monkeypatch.setattr(checksums, "_sha256", collected_first)
    assert repository.damaged_files() == {}


def test_killed_between_expiry_and_the_checksums(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expiry rewrites snapshots: that must not look like damage, whenever it was stopped."""
    from goodctl.datastore.repository import collection

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(collection, "_sweep", killed)
        with pytest.raises(KeyboardInterrupt):
            gc(str(store), keep_last=2)
    assert is_good(store)
    write(store, "next", ("en", rows(9)))
    assert is_good(store)
    assert len(gc(str(store), keep_last=2).dropped) == 1


def test_bad_requests(store: Path) -> None:
    with pytest.raises(UsageError, match="at least one version stays"):
        gc(str(store), keep_last=0)
    with pytest.raises(UsageError, match="is one version of"):
        gc(f"{store}@~1")
    with pytest.raises(NotFoundError):
        gc(str(store.parent / "none"))
    assert len(snapshots(store)) == 5


@pytest.mark.parametrize(("text", "age"), [("30d", 30 * DAY), ("12h", DAY / 2), ("2w", 14 * DAY), ("90m", DAY / 16)])
def test_ages(text: str, age: datetime.timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30days", "9999999w", "999999w"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(UsageError, match="that is no age"):
        parse_age(text)


def test_a_dry_run_leaves_nothing_in_the_temporary_folder(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    gc(str(store), keep_last=1, dry_run=True)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_version_that_cannot_be_read_is_not_taken_for_one_that_is_not_there(store: Path) -> None:
    """Without recorded checksums nothing else tells that the way to the versions behind it is only damaged."""
    rollback(str(store), "@~2")
    left_behind = snapshots(store)[1]
    (store / "checksums.sha256").unlink()
    snapshot = store / "repository" / "snapshots" / left_behind
    content = bytearray(snapshot.read_bytes())
    content[60] ^= 255
    snapshot.write_bytes(bytes(content))
    before = disk(store)
    for dry_run in (True, False):
        with pytest.raises(DamagedError):
            gc(str(store), dry_run=dry_run)
    assert disk(store) == before


def test_what_a_rollback_keeps_on_another_branch(store: Path) -> None:
    """The restored version is led to by a commit of main, though it is not before it in time."""
    create_branch(f"{store}@~3", "trial")
    write_on_trial = remove(f"{store}@trial", Removal(languages=("l0",)))
    rollback(str(store), "trial")
    assert not delete_branch(str(store), "trial").unreachable
    assert Datastore.open(f"{store}@{write_on_trial.snapshot[:9]}").version.id == write_on_trial.snapshot
    gc(str(store))
    assert Datastore.open(f"{store}@{write_on_trial.snapshot[:9]}").rows == write_on_trial.store_rows
    assert is_good(store)


def test_flat_files_that_a_killed_reader_left(store: Path) -> None:
    (store / "cache").mkdir()
    for name, age_s in (("old.part", 2 * DAY.total_seconds()), ("young.part", 60)):
        (store / "cache" / name).write_bytes(bytes(10))
        moment = datetime.datetime.now().timestamp() - age_s
        os.utime(store / "cache" / name, (moment, moment))
    asked = gc(str(store), dry_run=True)
    done = gc(str(store))
    assert asked.files == done.files
    assert done.files["temporary"] == 1
    assert [path.name for path in (store / "cache").iterdir()] == ["young.part"]


def test_a_store_without_a_version(tmp_path: Path) -> None:
    """Its first build was killed before its first commit, or has a checkpoint to go on from."""
    (tmp_path / "s").mkdir()
    repository = Repository.create(str(tmp_path / "s"))
    repository.create_branch(f"{CHECKPOINT_PREFIX}empty", repository.tip())
    assert gc(str(tmp_path / "s"), keep_last=1).versions == 0
    assert not Repository.open(str(tmp_path / "s")).checkpoints()
    writing = writer(tmp_path / "s", "build", part_bytes=500)
    writing.append("en", rows(1, 40))
    writing.checkpoint({"position": {}})
    assert gc(str(tmp_path / "s"), keep_last=1).versions == 0
    assert writer(tmp_path / "s", "build", part_bytes=500).rows == len(rows(1, 40).values)
