from __future__ import annotations

from pathlib import Path

import pytest

from goodctl.datastore.names import branches, create_branch, create_tag, delete_branch, delete_tag, tags
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.store import Datastore
from goodctl.errors import ConflictError, ExistsError, GoodctlError, NotFoundError, UsageError
from tests.datastore.rows import rows, write, writer


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Two versions."""
    write(tmp_path / "s", "one", ("en", rows(0)))
    write(tmp_path / "s", "two", ("fr", rows(1)))
    return str(tmp_path / "s")


def state(store: str) -> tuple[dict[str, str], dict[str, str]]:
    repository = Repository.open(store)
    return repository.branches(), repository.tags()


def test_a_tag_stays_where_it_was_put(store: str) -> None:
    made = create_tag(f"{store}@~1", "v1")
    assert (made.name, made.rows, made.message) == ("v1", len(rows(0).values), "add one")
    write(Path(store), "three", ("de", rows(2)))
    assert Datastore.open(f"{store}@v1").version.id == made.snapshot
    assert [each.to_dict() for each in tags(store)] == [made.to_dict()]


def test_branches_are_listed_main_first_and_hidden_ones_are_not(store: str) -> None:
    made = create_branch(f"{store}@~1", "before")
    unfinished = writer(Path(store), "more")
    unfinished.append("de", rows(2))
    unfinished.checkpoint({"position": 1})
    found = branches(store)
    assert [each.name for each in found] == ["main", "before"]
    assert found[1] == made
    assert found[0].rows == len(rows(0).values) + len(rows(1).values)


def test_a_deleted_tag_is_gone_for_good(store: str) -> None:
    create_tag(store, "v1")
    assert not delete_tag(store, "v1").unreachable
    assert tags(store) == []
    with pytest.raises(ExistsError, match="has, or had, a tag v1"):
        create_tag(store, "v1")


def test_deleting_a_branch_says_whether_its_version_is_still_reached(store: str) -> None:
    create_branch(store, "same")
    assert not delete_branch(store, "same").unreachable
    create_branch(store, "trial")
    own = write_on(store, "trial")
    gone = delete_branch(store, "trial")
    assert gone.unreachable
    assert gone.snapshot == own


def write_on(store: str, branch: str) -> str:
    """A version that only this branch has."""
    session = Repository.open(store).session(branch)
    session.root.attrs["note"] = branch
    return session.commit("on a branch", {"kind": "result", "command": "test", "results": {"rows": 0}})


@pytest.mark.parametrize(
    "name", ["", "a b", "~2", "{2026-10-01}", "a/b", "a~1", "-x", ".x", "é", "x" * 65, "checkpoint-x", "rolled-back-x"]
)
def test_what_is_no_name(store: str, name: str) -> None:
    before = state(store)
    for create in (create_tag, create_branch):
        with pytest.raises(UsageError) as caught:
            create(store, name)
        assert caught.value.hint
    assert state(store) == before


def test_names_that_are_taken(store: str) -> None:
    create_tag(store, "v1")
    create_branch(store, "trial")
    before = state(store)
    for name in ("v1", "trial", "main"):
        for create in (create_tag, create_branch):
            with pytest.raises(ExistsError, match=name):
                create(f"{store}@~1", name)
    assert state(store) == before


def test_the_beginning_of_a_snapshot_id_is_no_name(store: str) -> None:
    snapshot = Datastore.open(f"{store}@~1").version.id
    for name in (snapshot, snapshot[:4], snapshot[:6].lower()):
        with pytest.raises(UsageError, match="snapshot"):
            create_tag(store, name)
    create_tag(store, snapshot[:3] + "-")


def test_unknown_names_bring_near_ones(store: str) -> None:
    create_tag(store, "paper-v1")
    create_branch(store, "trial")
    with pytest.raises(NotFoundError, match="paper-v1"):
        delete_tag(store, "paper-v2")
    with pytest.raises(NotFoundError, match="trial"):
        delete_branch(store, "trail")
    with pytest.raises(NotFoundError):
        delete_branch(store, "rolled-back-x")


def test_main_stays(store: str) -> None:
    with pytest.raises(UsageError, match="main"):
        delete_branch(store, "main")


def test_lists_and_deletions_are_of_the_whole_store(store: str) -> None:
    create_tag(store, "v1")
    for refused in (
        lambda: tags(f"{store}@v1"),
        lambda: branches(f"{store}@v1"),
        lambda: delete_tag(f"{store}@v1", "v1"),
        lambda: delete_branch(f"{store}@v1", "main"),
    ):
        with pytest.raises(UsageError):
            refused()
    assert [each.name for each in tags(store)] == ["v1"]


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    nosuch = str(tmp_path / "nosuch")
    for refused in (lambda: create_tag(nosuch, "v1"), lambda: delete_tag(nosuch, "v1"), lambda: tags(nosuch)):
        with pytest.raises(NotFoundError, match="There is no datastore"):
            refused()
    assert not (tmp_path / "nosuch").exists()


def test_a_store_without_a_version_has_nothing_to_name(tmp_path: Path) -> None:
    unfinished = writer(tmp_path / "s", "build")
    unfinished.append("en", rows(0))
    unfinished.checkpoint({"position": 1})
    with pytest.raises(NotFoundError, match="no finished version"):
        create_tag(str(tmp_path / "s"), "v1")
    assert state(str(tmp_path / "s"))[1] == {}


def test_a_checkpoint_cannot_be_named(store: str) -> None:
    repository = Repository.open(store)
    checkpoint = next(each for each in repository.ancestry(repository.tip()) if each.is_checkpoint)
    with pytest.raises(GoodctlError):
        create_tag(f"{store}@{checkpoint.id}", "v1")
    assert tags(store) == []


def test_another_writer_is_waited_for(store: str) -> None:
    with writer_lock(store, "test"), pytest.raises(ConflictError):
        create_tag(store, "v1")
