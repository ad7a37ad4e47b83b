from __future__ import annotations

import itertools
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodctl.errors import ConflictError, DamagedError, ExistsError, InputError, ServiceError
from goodctl.scoring.protocol import Failed, Identity, NotScored, Outcome, Scored
from goodctl.workflows.answers import Keys, columns_of, outcome_of
from goodctl.workflows.journal import COMMIT_CREDIT_S, FORMAT, GROUP, Journal
from goodctl.workflows.journal_files import journal_files

IDENTITY = Identity("fake", "1", {"a": 1})
KEYS = Keys(IDENTITY, ("toxicity",))
SCORED = Scored({"toxicity": 0.25})
FAILED = Failed("server", "500")
NOT_SCORED = NotScored("empty", "The text is empty.")


def opened(path: Path, identity: Identity = IDENTITY, clock: Callable[[], float] | None = None) -> Journal:
    journal = Journal(path, identity) if clock is None else Journal(path, identity, clock)
    journal.begin_run("2026-01-01T00:00:00+00:00")
    return journal


def rows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as sql:
        return sql.execute("SELECT key, state, tries FROM answers ORDER BY number").fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl.journal"


@pytest.mark.parametrize(
    "outcome", [SCORED, FAILED, NOT_SCORED, Scored({"toxicity": 0.1 + 0.2, "insult": 1.0}, {"languages": ["dé"]})]
)
def test_an_answer_is_there_after_closing(path: Path, outcome: Outcome) -> None:
    key = KEYS.of("text", "en")
    with opened(path) as journal:
        assert journal.find(key) is None
        journal.add(key, outcome, with_raw=True)
    with opened(path) as journal:
        found = journal.find(key)
        assert found is not None
        assert found.outcome == outcome
        assert (found.number, found.tries) == (1, 1)
        assert journal.highest() == 1
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing else is left beside it"


@given(
    st.builds(Scored, st.dictionaries(st.text(max_size=5), st.floats(0, 1)))
    | st.builds(NotScored, st.text(), st.text())
    | st.builds(Failed, st.text(), st.text())
)
def test_a_row_holds_any_outcome(outcome: Outcome) -> None:
    assert outcome_of(columns_of(outcome)) == outcome


def test_a_message_that_is_no_text_is_kept_as_far_as_it_is() -> None:
    kept = outcome_of(columns_of(Failed("server", "a\ud800b")))
    assert kept == Failed("server", "a?b")


def test_what_is_settled(path: Path) -> None:
    scored, failed, unscored, new = (KEYS.of(text, None) for text in "abcd")
    with opened(path) as journal:
        for key, outcome in ((scored, SCORED), (failed, FAILED), (unscored, NOT_SCORED)):
            journal.add(key, outcome, with_raw=False)
            assert journal.settled(key, with_raw=False), "nothing is asked twice in a run, failures neither"
        assert not journal.settled(new, with_raw=False)
    with opened(path) as journal:
        settled = [journal.settled(key, with_raw=False) for key in (scored, failed, unscored, new)]
        assert settled == [True, False, True, False]
        with_raw = [journal.settled(key, with_raw=True) for key in (scored, failed, unscored, new)]
        assert with_raw == [False, False, True, False], "a score without the source's answer is not enough"
        journal.add(scored, Scored({"toxicity": 0.5}, {"x": 1}), with_raw=True)
        journal.add(failed, SCORED, with_raw=False)
    with opened(path) as journal:
        assert journal.settled(scored, with_raw=True)
        assert journal.settled(scored, with_raw=False)
        again = journal.find(failed)
        assert again is not None
        assert (again.outcome, again.tries, again.number) == (SCORED, 2, 2)


def test_the_begin_is_that_of_the_first_run(path: Path) -> None:
    with Journal(path, IDENTITY) as journal:
        assert journal.begin_run("first") == "first"
    with Journal(path, IDENTITY) as journal:
        assert journal.begin_run("second") == "first"


@given(
    st.lists(st.tuples(st.text(max_size=4), st.none() | st.text(max_size=4)), min_size=2, max_size=2, unique=True),
    st.sampled_from([("toxicity",), ("insult", "toxicity")]),
)
def test_different_texts_have_different_keys(pairs: list[tuple[str, str | None]], attributes: tuple[str, ...]) -> None:
    keys = Keys(IDENTITY, attributes)
    one, other = (keys.of(text, language) for text, language in pairs)
    assert one != other
    assert len(one) == 32


def test_keys_depend_on_all_that_matters_and_on_nothing_else() -> None:
    others = [
        Keys(Identity("fake", "2", {"a": 1}), ("toxicity",)),
        Keys(Identity("fake", "1", {"a": 2}), ("toxicity",)),
        Keys(IDENTITY, ("insult",)),
    ]
    found = [keys.of("text", "en") for keys in (KEYS, *others)]
    assert len(set(found)) == len(found)
    assert Keys(Identity("fake:elsewhere", "1", {"a": 1}), ("toxicity",)).of("text", "en") == found[0]
    many = Keys(IDENTITY, ("insult", "toxicity")), Keys(IDENTITY, ("toxicity", "insult"))
    assert many[0].of("a", None) == many[1].of("a", None)


class Clock:
    """A clock that stands still unless it is moved; each look at it takes a moment."""

    def __init__(self, look_s: float = 0.0) -> None:
        self.now = 0.0
        self.look_s = look_s

    def __call__(self) -> float:
        self.now += self.look_s
        return self.now


def test_a_slow_scorers_answers_are_written_one_by_one(path: Path) -> None:
    clock = Clock()
    journal = opened(path, clock=clock)
    commits = counted_commits(journal)
    for number in range(50):
        clock.now += 0.01  # 100 a second
        journal.add(KEYS.of(str(number), None), SCORED, with_raw=False)
        assert len(commits) == number + 1
    journal.close()


def test_a_fast_scorers_answers_are_written_in_groups(path: Path) -> None:
    clock = Clock(look_s=0.001)  # a commit takes a millisecond, a look at the budget another
    journal = opened(path, clock=clock)
    commits = counted_commits(journal)
    count = 4 * GROUP + int(COMMIT_CREDIT_S / 0.001)
    for number in range(count):
        journal.add(KEYS.of(str(number), None), SCORED, with_raw=False)
    assert len(commits) < count / 2
    journal.close()
    assert len(rows(path)) == count


def counted_commits(journal: Journal) -> list[int]:
    commits: list[int] = []
    write = journal.commit

    def commit() -> None:
        if journal._pending:
            commits.append(len(journal._pending))
        write()

    journal.commit = commit  # type: ignore[method-assign]
    return commits


def test_what_waits_is_written_though_nothing_more_comes(path: Path) -> None:
    clock = Clock(look_s=COMMIT_CREDIT_S)
    journal = opened(path, clock=clock)
    written = threading.Event()
    write = journal.commit

    def commit() -> None:
        write()
        if threading.current_thread() is not threading.main_thread():
            written.set()

    journal.commit = commit  # type: ignore[method-assign]
    for number in itertools.count():  # until one has to wait
        key = KEYS.of(str(number), None)
        clock.look_s = COMMIT_CREDIT_S if number < 3 else 0.0
        journal.add(key, SCORED, with_raw=False)
        if journal._pending:
            break
    assert journal.settled(key, with_raw=False)
    assert written.wait(30)
    assert journal.find(key) is not None
    journal.close()


def test_threads_may_look_while_another_adds(path: Path) -> None:
    keys = [KEYS.of(str(number), None) for number in range(300)]
    with opened(path) as journal:
        wrong: list[bytes] = []

        def look() -> None:
            for key in keys * 3:
                if journal.settled(key, with_raw=False) and journal.find(key) is None and not journal._pending:
                    wrong.append(key)

        looker = threading.Thread(target=look)
        looker.start()
        for key in keys:
            journal.add(key, SCORED, with_raw=False)
        looker.join()
        assert not wrong
        assert all(journal.settled(key, with_raw=False) for key in keys)


def test_another_scorers_answers_are_refused_and_stay(path: Path) -> None:
    with opened(path) as journal:
        journal.add(KEYS.of("a", None), SCORED, with_raw=False)
    before = rows(path)
    with pytest.raises(ExistsError, match="a: 1 → 2") as raised:
        Journal(path, Identity("fake", "1", {"a": 2}))
    assert raised.value.hint is not None
    assert "--overwrite" in raised.value.hint
    assert rows(path) == before


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE mine (x)")


def later_version(path: Path) -> None:
    opened(path).close()
    change(path, "UPDATE about SET value = '2' WHERE name = 'format_version'")


def broken_scorer(path: Path) -> None:
    opened(path).close()
    change(path, "UPDATE about SET value = '{' WHERE name = 'scorer'")


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute(statement)
        sql.commit()


def garbage(path: Path) -> None:
    opened(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: path.write_text('{"text": "a"}\n'), InputError),
        (lambda path: path.mkdir(), InputError),
        (lambda path: path.symlink_to(path.parent / "elsewhere"), InputError),
        (other_database, InputError),
        (later_version, InputError),
        (broken_scorer, DamagedError),
        (garbage, DamagedError),
    ],
)
def test_what_is_no_journal_is_refused(path: Path, make: Callable[[Path], object], error: type[Exception]) -> None:
    make(path)
    with pytest.raises(error, match=path.name):
        Journal(path, IDENTITY)


def test_a_file_whose_maker_was_killed_at_once_is_taken(path: Path) -> None:
    path.touch()
    with opened(path) as journal:
        journal.add(KEYS.of("a", None), SCORED, with_raw=False)
    assert len(rows(path)) == 1


def test_only_one_has_it_open(path: Path) -> None:
    with opened(path), pytest.raises(ConflictError):
        Journal(path, IDENTITY)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot be written"):
        Journal(tmp_path / "nowhere" / "j", IDENTITY)


def test_a_full_disk_is_said_and_what_was_there_stays(path: Path) -> None:
    journal = opened(path)
    journal.add(KEYS.of("a", None), SCORED, with_raw=False)
    pages = journal._sql.execute("PRAGMA page_count").fetchone()[0]
    journal._sql.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ServiceError, match="full"):
        for number in range(10_000):
            journal.add(KEYS.of(str(number), None), Scored({"toxicity": 0.5}, {"x": "y" * 100}), with_raw=True)
    with pytest.raises(ServiceError):
        journal.close()
    with opened(path) as again:
        assert again.settled(KEYS.of("a", None), with_raw=False)


def test_a_damaged_answer_is_said(path: Path) -> None:
    with opened(path) as journal:
        journal.add(KEYS.of("a", None), SCORED, with_raw=False)
    change(path, "UPDATE answers SET scores = '{'")
    with opened(path) as journal, pytest.raises(DamagedError):
        journal.find(KEYS.of("a", None))


def test_the_file_is_as_documented(path: Path) -> None:
    with opened(path) as journal:
        journal.add(KEYS.of("a", "en"), Scored({"toxicity": 0.25}, {"x": 1}), with_raw=True)
    with closing(sqlite3.connect(path)) as sql:
        about = dict(sql.execute("SELECT name, value FROM about"))
        names = [row[1] for row in sql.execute("PRAGMA table_info(answers)")]
        answers = [dict(zip(names, row, strict=True)) for row in sql.execute("SELECT * FROM answers")]
    assert about["format"] == FORMAT
    assert json.loads(about["scorer"]) == IDENTITY.to_dict()
    assert answers == [
        {
            "number": 1,
            "key": KEYS.of("a", "en"),
            "state": "scored",
            "scores": '{"toxicity": 0.25}',
            "reason": None,
            "message": None,
            "raw": '{"x": 1}',
            "with_raw": 1,
            "tries": 1,
            "run": 1,
        }
    ]
    assert journal_files(path)[0] == path
