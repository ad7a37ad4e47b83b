from __future__ import annotations

from pathlib import Path

import pytest

from goodctl.datastore.format import ARRAYS
from goodctl.datastore.history import log, log_all
from goodctl.datastore.names import create_branch, create_tag
from goodctl.datastore.reference import CHECKPOINT_PREFIX, HIDDEN_PREFIXES
from goodctl.datastore.repository import Repository, Session, writer_lock
from goodctl.datastore.rollback import rollback
from goodctl.datastore.store import Datastore
from goodctl.errors import ConflictError, NotFoundError, UsageError
from tests.datastore.rows import rows, write


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Three versions, of 1, 2 and 3 languages."""
    for seed, language in enumerate(("en", "fr", "de")):
        write(tmp_path / "s", language, (language, rows(seed)))
    return str(tmp_path / "s")


def content(reference: str) -> list[tuple[str, bytes]]:
    """Everything that a version holds, byte for byte."""
    opened = Datastore.open(reference)
    return [(f"{each.id}/{name}", opened.read(each, name).tobytes()) for each in opened.segments for name in ARRAYS]


def languages(reference: str) -> list[str]:
    return [segment.language for segment in Datastore.open(reference).segments]


def hidden(store: str) -> list[str]:
    return [name for name in Repository.open(store).branches() if name.startswith(HIDDEN_PREFIXES)]


def test_the_content_is_that_of_the_earlier_version(store: str) -> None:
    first, newest = content(f"{store}@~2"), Datastore.open(store).version.id
    result = rollback(store, "~2")
    assert content(store) == first
    assert Datastore.open(store).version.id == result.snapshot
    assert (result.before, result.rows) == (newest, len(rows(0).values))


def test_nothing_is_lost(store: str) -> None:
    was = [(entry.snapshot, content(f"{store}@{entry.snapshot}")) for entry in log(store)]
    rollback(store, "~2")
    assert [entry.snapshot for entry in log(store)][1:] == [snapshot for snapshot, _ in was]
    for steps, (snapshot, held) in enumerate(was, start=1):
        assert content(f"{store}@~{steps}") == content(f"{store}@{snapshot}") == held


def test_the_log_says_what_came_and_went(store: str) -> None:
    restored = Datastore.open(f"{store}@~2").version.id
    result = rollback(store, "@~2", message="too much")
    entry, before = log(store)[:2]
    assert (entry.command, entry.message) == ("rollback", "too much")
    assert entry.rows == -len(rows(1).values) - len(rows(2).values)
    assert entry.languages == {"fr": -len(rows(1).values), "de": -len(rows(2).values)}
    assert (entry.restored, entry.parent) == (restored, before.snapshot) == (result.restored, result.before)


def test_a_rollback_is_rolled_back(store: str) -> None:
    all_three = content(store)
    rollback(store, "~2")
    rollback(store, "~1")
    assert content(store) == all_three
    assert [entry.command for entry in log(store)] == ["rollback", "rollback", "add", "add", "add"]


def test_two_in_a_row(store: str) -> None:
    rollback(store, "~1")
    rollback(store, "~3")
    assert languages(store) == ["en"]
    assert [languages(f"{store}@~{steps}") for steps in range(1, 5)] == [
        ["en", "fr"],
        ["en", "fr", "de"],
        ["en", "fr"],
        ["en"],
    ]


def test_a_date_means_the_newest_version_of_that_time(store: str) -> None:
    rollback(store, "~2")
    moment = log(store)[0].written_at[:10]
    assert languages(f"{store}@{{{moment}}}") == ["en"]


@pytest.mark.parametrize("name", ["v1", "{tag}~0", "id"])
def test_every_kind_of_reference(store: str, name: str) -> None:
    made = create_tag(f"{store}@~2", "v1")
    rollback(store, {"v1": "v1", "{tag}~0": "v1~0", "id": made.snapshot[:6].lower()}[name])
    assert languages(store) == ["en"]


def test_on_a_branch_steps_count_from_it_and_main_stays(store: str) -> None:
    create_branch(f"{store}@~1", "trial")
    result = rollback(f"{store}@trial", "~1")
    assert languages(f"{store}@trial") == ["en"]
    assert languages(store) == ["en", "fr", "de"]
    assert result.before == Datastore.open(f"{store}@~1").version.id
    assert {entry.snapshot for entry in log_all(store)} == {entry.snapshot for entry in log(store)} | {result.snapshot}


def test_adding_goes_on_from_there(store: str) -> None:
    rollback(store, "~2")
    write(Path(store), "es", ("es", rows(4)))
    assert languages(store) == ["en", "es"]
    assert [entry.command for entry in log(store)] == ["add", "rollback", "add", "add", "add"]
    assert languages(f"{store}@~2") == ["en", "fr", "de"]


def test_what_is_refused_changes_nothing(store: str) -> None:
    repository = Repository.open(store)
    checkpoint = next(each for each in repository.ancestry(repository.tip()) if each.is_checkpoint)
    before = repository.branches()
    for reference, error, words in (
        ("~0", UsageError, "newest version"),
        ("main", UsageError, "newest version"),
        (checkpoint.id, UsageError, "checkpoint"),
        ("~9", NotFoundError, "~9"),
        ("nosuch", NotFoundError, "nosuch"),
        ("{never}", UsageError, "never"),
    ):
        with pytest.raises(error, match=words) as caught:
            rollback(store, reference)
        assert caught.value.hint
    with pytest.raises(UsageError, match="not a branch"):
        rollback(f"{store}@~1", "~2")
    with writer_lock(store, "test"), pytest.raises(ConflictError):
        rollback(store, "~1")
    assert Repository.open(store).branches() == before


STEPS = [
    (Repository, "create_branch", 1),
    (Session, "commit", 1),
    (Repository, "create_branch", 2),
    (Repository, "move_branch", 1),
    (Repository, "delete_branch", 1),
]


@pytest.mark.parametrize(("owner", "name", "call"), STEPS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_killed_after_any_step_it_can_be_run_again(
    store: str, owner: type, name: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, all_three = content(f"{store}@~2"), content(store)
    target = Datastore.open(f"{store}@~2").version.id
    versions = [entry.snapshot for entry in log(store)]
    real, calls = getattr(owner, name), []

    def killed(*arguments: object, **named: object) -> object:
        result = real(*arguments, **named)
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(KeyboardInterrupt):
            rollback(store, target)
    moved = name in {"move_branch", "delete_branch"}
    assert content(store) == (first if moved else all_three)
    rollback(store, "~1" if moved else target)
    assert content(store) == (all_three if moved else first)
    assert [entry.snapshot for entry in log(store)][-len(versions) :] == versions
    left = [branch for branch in hidden(store) if branch.startswith(CHECKPOINT_PREFIX)]
    assert not left, "what the killed run left is gone"
