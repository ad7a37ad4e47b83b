"""Several processes that commit to one store at the same time: nothing is lost, nothing is half there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from goodctl.datastore.history import log
from goodctl.datastore.repository import Repository
from goodctl.datastore.store import Datastore
from tests.datastore.contents import check_description
from tests.datastore.rows import rows, write

PROCESSES = 4
COMMITS = 30
MOST_TRIES = 20_000  # of a commit; far more than it takes, but a store that stays locked ends the test

_COMMIT = """
import json, random, sys, time
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.writer import Writer
from goodctl.errors import ConflictError
from tests.datastore.rows import addition, decode, header, rows

location, process, commits, tries = sys.argv[1], *map(int, sys.argv[2:])
dice = random.Random(process)
attempts = []
print("ready", flush=True)
sys.stdin.readline()
for number in range(commits):
    seed = 1000 * process + number
    for _ in range(tries):
        outcome = {"seed": seed}
        try:
            with writer_lock(location, f"commit {seed}"):
                writing = Writer(Repository.open(location), header(), addition(f"job{seed}"))
                assert writing.state is None
                writing.append(f"l{process}", rows(seed))
                results = {"rows": writing.rows, "documents": 5, "languages": {f"l{process}": writing.rows}}
                attempts.append({**outcome, "snapshot": writing.finish({}, decode, results)})
                break
        except ConflictError as error:
            attempts.append({**outcome, "refused": error.message})
            time.sleep(dice.uniform(0, 0.02))  # as somebody who tries again would
print(json.dumps(attempts))
"""


def commit_together(store: Path, tries: int) -> list[dict[str, Any]]:
    """Let the processes commit at the same time; gives what became of each attempt."""
    processes = []
    for number in range(PROCESSES):
        command = [sys.executable, "-c", _COMMIT, str(store), str(number), str(COMMITS), str(tries)]
        processes.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    try:
        for process in processes:  # nobody begins before all have imported what they need
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        attempts: list[dict[str, Any]] = []
        for process in processes:
            printed, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            attempts += json.loads(printed)
        return attempts
    finally:
        for process in processes:
            process.kill()
            process.wait()


def check(store: Path, first: str, attempts: list[dict[str, Any]]) -> list[int]:
    """Every commit that was reported is there with its rows, and nothing else; gives the seeds in their order."""
    made = {attempt["seed"]: attempt["snapshot"] for attempt in attempts if "snapshot" in attempt}
    assert len(made) == sum("snapshot" in attempt for attempt in attempts)
    entries = log(str(store))
    assert {entry.snapshot for entry in entries} == {first, *made.values()}
    assert len(entries) == 1 + len(made)
    opened = Datastore.open(str(store), check=True)
    order = [int(segment.job.removeprefix("job")) for segment in opened.segments[1:]]
    assert sorted(order) == sorted(made)
    assert [segment.order for segment in opened.segments] == list(range(1 + len(made)))
    for seed, segment in zip(order, opened.segments[1:], strict=True):
        expected = rows(seed)
        assert segment.language == f"l{seed // 1000}"
        assert opened.read(segment, "keys").tobytes() == expected.keys.tobytes()
        assert opened.read(segment, "values").tobytes() == expected.values.tobytes()
        assert opened.read(segment, "document_lines").tobytes() == expected.lines.tobytes()
    assert [made[seed] for seed in reversed(order)] == [entry.snapshot for entry in entries[:-1]], "as the log has it"
    for age, seed in enumerate(reversed(order)):
        if age % 20 == 0:
            assert Datastore.open(f"{store}@~{age}").segments == opened.segments[: len(order) - age + 1]
            assert Datastore.open(f"{store}@~{age}").version.id == made[seed]
    check_description(store)
    assert not Repository.open(str(store)).checkpoints()
    return order


def test_who_tries_again_gets_everything_in(tmp_path: Path) -> None:
    first = write(tmp_path / "s", "build", ("en", rows(9999)))
    attempts = commit_together(tmp_path / "s", MOST_TRIES)
    order = check(tmp_path / "s", first, attempts)
    assert len(order) == PROCESSES * COMMITS
    assert any("refused" in attempt for attempt in attempts), "they were in each other's way"
    for process in range(PROCESSES):
        own = [seed for seed in order if seed // 1000 == process]
        assert own == sorted(own), "a process commits in its own order"


def test_who_does_not_is_told(tmp_path: Path) -> None:
    first = write(tmp_path / "s", "build", ("en", rows(9999)))
    attempts = commit_together(tmp_path / "s", 1)
    order = check(tmp_path / "s", first, attempts)
    outcomes = Counter("refused" if "refused" in attempt else "made" for attempt in attempts)
    assert outcomes["made"] + outcomes["refused"] == PROCESSES * COMMITS
    assert outcomes["made"] == len(order) > 0
    refusals = [attempt["refused"] for attempt in attempts if "refused" in attempt]
    assert all("is being written by" in refusal for refusal in refusals)


def test_a_store_that_nobody_has_begun(tmp_path: Path) -> None:
    """Of several that build the same new store one does it, the others are told."""
    command = [
        *(sys.executable, "-c"),
        "import os, sys\n"
        "from goodctl.datastore.change import creating\n"
        "from goodctl.errors import ExistsError\n"
        "from tests.datastore.rows import header\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try:\n"
        "    with creating(sys.argv[1], 'merge') as change:\n"
        "        change.describe(header())\n"
        "        change.commit(sys.argv[2], {'rows': 0, 'documents': 0, 'languages': {}})\n"
        "        print('made')\n"
        "except ExistsError as error:\n"
        "    print(type(error).__name__)\n",
        str(tmp_path / "s"),
    ]
    processes = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = [process.communicate("go\n", timeout=60)[0].strip() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert told.count("made") == 1
    assert set(told) <= {"made", "ExistsError", "ConflictError"}
    (entry,) = log(str(tmp_path / "s"))
    assert entry.message == str(told.index("made"))
