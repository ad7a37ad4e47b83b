"""What a scorer has answered, on disk: a run that is killed at any moment loses nothing and asks nothing twice.

It is one SQLite file with the answers by a hash of text, language, attributes and scorer. Only the run that has the
output's lock opens it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from goodctl.errors import ConflictError, DamagedError, ExistsError, GoodctlError, InputError, ServiceError
from goodctl.scoring.identity import differences, from_dict
from goodctl.scoring.protocol import Identity, Outcome
from goodctl.workflows.answers import FAILED, SCORED, Answer, columns_of, outcome_of
from goodctl.workflows.journal_files import no_journal, refuse_foreign_journal

FORMAT = "goodctl-journal"
FORMAT_VERSION = 1
LONGEST_WAIT_S = 0.2
"""An answer is in the file after this time at the latest."""
COMMIT_SHARE = 0.05
"""How much of the time may be spent on writing each answer at once; beyond that they are written in groups."""
COMMIT_CREDIT_S = 0.25
GROUP = 512
CACHE_KIB = 16 * 1024

_TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE answers (
        number INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        state TEXT NOT NULL CHECK (state IN ('scored', 'not_scored', 'failed')),
        scores TEXT,
        reason TEXT,
        message TEXT,
        raw TEXT,
        with_raw INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        run INTEGER NOT NULL
    )""",
)
_KNOWN = "SELECT state, with_raw, run FROM answers WHERE key = ?"
_FIND = "SELECT number, tries, with_raw, state, scores, reason, message, raw FROM answers WHERE key = ?"
_KEPT = ("with_raw", "state", "scores", "reason", "message", "raw")
# A score stays where asking again for the source's own answer has failed: it may be one that cannot be had again.
_WRITE = f"""INSERT INTO answers (key, run, with_raw, state, scores, reason, message, raw, tries)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
    ON CONFLICT (key) DO UPDATE SET run = excluded.run, tries = tries + 1, {
    ", ".join(
        f"{name} = CASE WHEN state = 'scored' AND excluded.state <> 'scored' THEN {name} ELSE excluded.{name} END"
        for name in _KEPT
    )
}"""  # noqa: S608 - the names are those above


class Journal:
    """The answers of one scorer. Its methods may be called from several threads.

    Args:
        path: The file; made where it is missing.
        identity: Of the scorer.
        clock: Seconds that only rise; tests put another one here.

    Raises:
        InputError: The file is no journal, or one of a later version of goodctl.
        ExistsError: It has the answers of another scorer; says what differs.
        DamagedError: It is damaged.
        ConflictError: Another program has it open.
        ServiceError: The disk does not take it.
    """

    def __init__(self, path: Path, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.RLock()
        self._pending: dict[bytes, tuple[Any, ...]] = {}
        self._credit_s, self._credited_at = COMMIT_CREDIT_S, clock()
        self._failure: GoodctlError | None = None
        self._waiting, self._closed = threading.Event(), threading.Event()
        self._told = _Told(self._said)
        refuse_foreign_journal(path)
        with self._told:
            self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            with self._told:
                self._prepare(identity)
        except BaseException:
            self._sql.close()
            raise
        self._late = threading.Thread(target=self._write_late, name="journal", daemon=True)
        self._late.start()

    def begin_run(self, at: str) -> str:
        """Count a run, before it asks anything: what failed in earlier ones is to be asked again.

        Args:
            at: The time, ISO 8601, UTC.

        Returns:
            When the first run began.
        """
        with self._lock, self._told, self._transaction():
            self._run += 1
            self._sql.execute("INSERT OR REPLACE INTO about VALUES ('run', ?)", (str(self._run),))
            self._sql.execute("INSERT OR IGNORE INTO about VALUES ('begun_at', ?)", (at,))
            return self._about("begun_at")

    def settled(self, key: bytes, *, with_raw: bool) -> bool:
        """Whether this run need not ask about a text.

        Args:
            key: The text's.
            with_raw: Whether the source's own answer is wanted.
        """
        with self._lock, self._told:
            if key in self._pending:
                return True
            row = self._sql.execute(_KNOWN, (key,)).fetchone()
        if row is None:
            return False
        state, had_raw, run = row
        enough = bool(had_raw) or not with_raw or state != SCORED
        return run == self._run or (state != FAILED and enough)

    def find(self, key: bytes) -> Answer | None:
        """The last answer about a text, once it is in the file; None where there is none.

        Raises:
            DamagedError: It cannot be read.
        """
        with self._lock, self._told:
            row = self._sql.execute(_FIND, (key,)).fetchone()
        if row is None:
            return None
        try:
            return Answer(row[0], outcome_of(row[3:]), row[1], bool(row[2]))
        except ValueError as error:
            raise self._damaged(error) from error

    def add(self, key: bytes, outcome: Outcome, *, with_raw: bool) -> None:
        """Keep an answer.

        It is in the file when this returns; a moment later where answers come faster than they can be written singly.

        Raises:
            ServiceError: The disk does not take it.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._pending[key] = (key, self._run, with_raw, *columns_of(outcome))
            if self._may_commit() or len(self._pending) >= GROUP:
                self.commit()
            else:
                self._waiting.set()

    def commit(self) -> None:
        """Write what is not in the file yet.

        Raises:
            ServiceError: The disk does not take it.
        """
        with self._lock, self._told:
            if not self._pending:
                return
            began = self._clock()
            with self._transaction():
                self._sql.executemany(_WRITE, self._pending.values())
            self._pending.clear()
            self._credit_s -= self._clock() - began

    def is_empty(self) -> bool:
        """Whether nothing was ever answered, as far as can be told: not where the file cannot be read."""
        with self._lock:
            try:
                return not self._pending and not self.highest()
            except GoodctlError:
                return False

    def highest(self) -> int:
        """The highest number of an answer, 0 where there is none."""
        with self._lock, self._told:
            return int(self._sql.execute("SELECT coalesce(max(number), 0) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Write what is not in the file yet, and let go of it. Twice does no harm."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            self._waiting.set()
            try:
                self.commit()
            finally:
                self._sql.close()
        self._late.join()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, identity: Identity) -> None:
        # Exclusive, so that no shared memory is needed, which file systems of several machines do not have.
        self._sql.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._sql.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        tables = {name for (name,) in self._sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables:
            self._check(tables, identity)
        # Nothing was written before this: another program's database stays what it is.
        self._sql.execute("PRAGMA journal_mode = WAL")
        # What a killed process has written stays; a power failure may take the last answers, and damages nothing.
        self._sql.execute("PRAGMA synchronous = NORMAL")
        if not tables:  # new, or its maker was killed before this
            with self._transaction():
                for table in _TABLES:
                    self._sql.execute(table)
                scorer = json.dumps(identity.to_dict(), ensure_ascii=False)
                about = {"format": FORMAT, "format_version": FORMAT_VERSION, "scorer": scorer, "run": 0}
                self._sql.executemany("INSERT INTO about VALUES (?, ?)", [(k, str(v)) for k, v in about.items()])
        self._run = int(self._about("run") or 0)

    def _check(self, tables: set[str], identity: Identity) -> None:
        if not {"about", "answers"} <= tables or self._about("format") != FORMAT:
            raise no_journal(self._path)
        if self._about("format_version") != str(FORMAT_VERSION):
            raise InputError(f"{self._path} is of another version of goodctl.", hint="Choose another --out.")
        try:
            found = differences(from_dict(json.loads(self._about("scorer"))), identity)
        except ValueError as error:
            raise self._damaged(error) from error
        if found:
            raise ExistsError(
                f"{self._path} has the answers of another scorer: {'; '.join(found)}.",
                hint="Choose another --out, or discard them: --overwrite",
            )

    def _about(self, name: str) -> str:
        row = self._sql.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def _may_commit(self) -> bool:
        now = self._clock()
        earned = (now - self._credited_at) * COMMIT_SHARE
        self._credit_s, self._credited_at = min(COMMIT_CREDIT_S, self._credit_s + earned), now
        return self._credit_s > 0

    def _write_late(self) -> None:
        """Writes what waits: behind a group's first answer none may come for long."""
        while True:
            self._waiting.wait()
            self._waiting.clear()
            if self._closed.wait(LONGEST_WAIT_S):
                return
            with self._lock:
                if self._closed.is_set():
                    return
                try:
                    self.commit()
                except GoodctlError as error:  # told to whoever adds the next answer, and by closing
                    self._failure = error
                    return

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        finally:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")

    def _said(self, error: sqlite3.DatabaseError) -> GoodctlError:
        """What SQLite says, as an error of ours."""
        if not isinstance(error, sqlite3.OperationalError):
            return self._damaged(error)
        if "locked" in str(error):
            return ConflictError(f"Another program has {self._path} open.", hint="Wait until it has finished.")
        return ServiceError(
            f"{self._path} cannot be written: {error}.",
            hint="Make room there and run the same command again: it goes on. Or choose another --out.",
        )

    def _damaged(self, error: Exception) -> DamagedError:
        return DamagedError(f"{self._path} is damaged: {error}.", hint="Begin anew: --overwrite")


class _Told:
    """Raises what SQLite says as an error of ours. A class: each look-up goes through it.

    Args:
        said: Makes the error.
    """

    def __init__(self, said: Callable[[sqlite3.DatabaseError], GoodctlError]) -> None:
        self._said = said

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            raise self._said(error) from error
