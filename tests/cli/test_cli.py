from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from goodctl import __version__
from goodctl.datastore.store import Datastore
from tests.commands import run_command
from tests.datastore.rows import rows, write

GOODCTL = [sys.executable, "-m", "goodctl"]
HEAVY = ("torch", "transformers", "zarr", "faiss", "icechunk", "numpy", "huggingface_hub", "pyarrow", "datasets")


def run(*arguments: str | Path, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    ended = run_command([str(argument) for argument in arguments], cwd, environment())
    assert ended.returncode == code, f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "en.txt").write_text("Good morning to you.\nThe tea is ready.\n\n")
    (tmp_path / "fr.txt").write_text("Bonjour à tous.\nLe thé est prêt.\n")
    return tmp_path


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from typer.testing import CliRunner
from goodctl.cli.app import app
for arguments in (["--help"], ["datastore", "--help"], ["datastore", "build", "--help"], ["--version"]):
    assert CliRunner().invoke(app, arguments).exit_code == 0, arguments
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert ended.stdout.strip() == "[]", ended.stderr


def test_version() -> None:
    assert run("--version").stdout == f"goodctl {__version__}\n"


def test_from_text_to_a_store_of_two_languages(folder: Path, tiny: str) -> None:
    built = run("datastore", "build", "s", "en.txt", "--model", tiny, "-l", "en", "--label", "nontoxic", cwd=folder)
    assert "Built s: 35 rows from 2 documents" in built.stdout
    assert "skipped" in built.stdout
    assert "1 document without a row" in built.stdout
    assert "Next: goodctl datastore inspect s" in built.stderr
    assert "encoding: done in" in built.stderr
    added = run("datastore", "add", "s", "fr.txt", "-l", "fr", "-m", "French", "--json", cwd=folder)
    result = json.loads(added.stdout)
    assert result["languages"] == {"fr": result["rows"]}
    assert result["store_rows"] == 35 + result["rows"]
    assert "Next" not in added.stderr
    log = run("datastore", "log", "s", cwd=folder).stdout.splitlines()
    assert len(log) == 3
    assert "French" in log[1]
    assert "(main)" in log[1]
    assert "build from en.txt" in log[2]
    described = json.loads(run("datastore", "inspect", "s", "--json", cwd=folder).stdout)
    assert list(described["languages"]) == ["en", "fr"]
    assert described["labels"]["nontoxic"]["documents"] == 2
    assert described["frequent_tokens"][0]["text"] == " "
    before = run("datastore", "inspect", "s@~1", cwd=folder).stdout
    assert "35 rows of 2 documents" in before
    assert "en.txt" in before
    assert "fr.txt" not in before
    versions = json.loads(run("datastore", "log", "s", "--json", cwd=folder).stdout)["versions"]
    assert [version["command"] for version in versions] == ["add", "build"]
    assert versions[0]["snapshot"] == result["snapshot"]


def test_quiet_prints_results_only(folder: Path, tiny: str) -> None:
    ended = run("datastore", "build", "s", "en.txt", "--model", tiny, "--quiet", cwd=folder)
    assert ended.stderr == ""
    assert "Built s" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["build", "s", "nosuch.txt", "--model", "M"], 3, "not_found", "nosuch.txt"),
        (["build", "s", "bad.jsonl", "--model", "M"], 2, "input", "bad.jsonl:2"),
        (["build", "s", "good.jsonl", "--model", "M", "--text-field", "body"], 2, "input", "text"),
        (["build", "s", "latin.txt", "--model", "M"], 2, "input", "latin.txt"),
        (["build", "s", "empty.txt", "--model", "M"], 2, "input", "empty.txt"),
        (["build", "s", "en.txt", "--model", "no/such/model"], 3, "not_found", "no/such/model"),
        (["build", "s", "en.txt", "--model", "M", "--key-layer", "head"], 2, "usage", "head"),
        (["build", "s", "en.txt", "--model", "M", "--device", "abacus"], 2, "usage", "abacus"),
        (["build", "en.txt", "en.txt", "--model", "M"], 4, "exists", "en.txt"),
        (["add", "s", "en.txt"], 3, "not_found", "There is no datastore s"),
        (["inspect", "s"], 3, "not_found", "There is no datastore s"),
        (["inspect", "."], 3, "not_found", "not a datastore"),
        (["log", "en.txt"], 3, "not_found", "not a datastore"),
    ],
)
def test_bad_input_is_explained_and_changes_nothing(
    folder: Path, tiny: str, arguments: list[str], code: int, kind: str, words: str
) -> None:
    (folder / "bad.jsonl").write_text('{"text": "one"}\n{"text": \n')
    (folder / "good.jsonl").write_text('{"text": "one two"}\n')
    (folder / "latin.txt").write_bytes("café au lait\n".encode("latin-1"))
    (folder / "empty.txt").touch()
    before = sorted(folder.rglob("*"))
    ended = run("datastore", *[tiny if word == "M" else word for word in arguments], "--json", cwd=folder, code=code)
    error = json.loads(ended.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert words in error["message"] + str(error["hint"])
    assert error["hint"]
    assert "Traceback" not in ended.stderr
    assert sorted(folder.rglob("*")) == before


def test_usage_errors_end_with_two(folder: Path) -> None:
    assert "Missing option" in run("datastore", "build", "s", "en.txt", cwd=folder, code=2).stderr
    run("datastore", "nosuch", code=2)


def test_a_newer_format_says_upgrade(folder: Path, tiny: str) -> None:
    import zarr

    from goodctl.datastore.repository import Repository

    run("datastore", "build", "s", "en.txt", "--model", tiny, cwd=folder)
    session = Repository.open(str(folder / "s")).session("main")
    assert isinstance(session.root, zarr.Group)
    session.root.attrs["format_version"] = 2
    session.commit("from the future", {"kind": "result", "command": "build"})
    ended = run("datastore", "inspect", "s", cwd=folder, code=6)
    assert "reads up to format 1" in ended.stderr
    assert "pip install --upgrade goodctl" in ended.stderr


def many_texts(folder: Path, count: int = 6000) -> Path:
    file = folder / "many.txt"
    file.write_text("".join(f"This is sentence number {number}, and no other.\n" for number in range(count)))
    return file


def start(folder: Path, tiny: str, *extra: str, **options: Any) -> subprocess.Popen[bytes]:
    arguments = ["datastore", "build", "s", "many.txt", "--model", tiny, "--batch-tokens", "64", "--precision", "fp32"]
    return subprocess.Popen([*GOODCTL, *arguments, *extra], cwd=folder, env=environment(), **options)


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "it has not come to that"
        assert process.poll() is None, "it has ended before"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_done(folder: Path, tiny: str, number: signal.Signals) -> None:
    many_texts(folder)
    process = start(folder, tiny, "--checkpoint-every", "0", stderr=subprocess.PIPE)
    wait_for(lambda: any(folder.glob("s/repository/refs/branch.checkpoint-*")), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"are kept" in errors
    assert b"Run the same command again" in errors
    ended = run("datastore", "inspect", "s", cwd=folder, code=3)
    assert "no finished version" in ended.stderr
    assert "no finished version" in run("datastore", "log", "s", cwd=folder, code=3).stderr
    again = start(folder, tiny, "--json", stdout=subprocess.PIPE)
    output, _ = again.communicate(timeout=120)
    result = json.loads(output)
    assert result["resumed_rows"] > 0
    assert Datastore.open(str(folder / "s")).rows == result["rows"]


def test_a_terminal_gets_a_bar(folder: Path, tiny: str) -> None:
    parent, child = pty.openpty()
    command = [*GOODCTL, "datastore", "build", "s", "en.txt", "--model", tiny]
    process = subprocess.Popen(command, cwd=folder, env=environment(), stderr=child, stdout=subprocess.DEVNULL)
    os.close(child)
    drawn = b""
    while True:
        try:
            block = os.read(parent, 4096)
        except OSError:
            break
        if not block:
            break
        drawn += block
    assert process.wait(60) == 0
    assert "━".encode() in drawn
    assert b"encoding" in drawn
    assert b"tokens" in drawn


def test_a_command_ends_with_its_own_exit_code_and_all_of_its_output(folder: Path) -> None:
    """Python's own end is skipped where the storage has threads; what has registered for it still runs."""
    write(folder / "s", "one", ("en", rows(0)))
    program = (
        "import atexit, sys; from goodctl.cli.app import main; "
        "atexit.register(lambda: print('registered')); sys.argv[1:] = ['datastore', 'log', '{}']; main()"
    )
    for store, code, said in (("s", 0, "add one"), ("none", 3, "")):
        ended = subprocess.run(
            [sys.executable, "-c", program.format(store)], capture_output=True, text=True, cwd=folder, env=environment()
        )
        assert (ended.returncode, "registered" in ended.stdout) == (code, True)
        assert said in ended.stdout


def test_names_move_no_cursor(tmp_path: Path) -> None:
    ended = run("datastore", "inspect", "evil\x1b]0;title\x07", cwd=tmp_path, code=3)
    assert "evil" in ended.stderr and "\x1b" not in ended.stderr and "\x07" not in ended.stderr
