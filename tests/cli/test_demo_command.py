"""``goodctl demo`` as a user sees it, with a tiny model."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
from pathlib import Path

import pytest

from goodctl.workflows.run_manifest import RunManifest
from tests.cli.examples import commands, parsed
from tests.cli.test_cli import GOODCTL, environment, run


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> tuple[Path, str]:
    """A folder with a demo that was kept, and what the command said."""
    folder = tmp_path_factory.mktemp("demo")
    (example,) = (each.example for each in commands() if each.path == ("demo",))
    return folder, run(*example, "--model", tiny, cwd=folder).stdout


def test_it_says_what_it_does_and_ends_with_the_report(kept: tuple[Path, str]) -> None:
    folder, said = kept
    titles = ["1. The model", "2. Two datastores", "3. The same prompts", "4. More languages", "5. What", "6. A cont"]
    places = [said.index(title) for title in titles]
    assert places == sorted(places)
    assert "$ goodctl datastore add toxic fr-rude.txt --language fr --label toxic" in said
    assert "expected maximum toxicity" in said
    assert "perplexity" in said
    assert "demo/run/report.html" in said
    assert (folder / "demo" / "run" / "report.html").exists()
    assert "Next:" in said


def test_the_next_commands_work(kept: tuple[Path, str], tiny: str) -> None:
    folder, said = kept
    lines = [line.strip() for line in said[said.index("Next:") :].splitlines()]
    commands = [line.split("  ")[0] for line in lines if line.startswith("goodctl")]
    assert len(commands) >= 4
    (folder / "MY_TEXTS.txt").write_text("A text of my own.\n")
    for command in commands:
        run(*shlex.split(command)[1:], cwd=folder)
    again = run("demo", "--keep", "./demo/../demo", "--model", tiny, cwd=folder).stdout
    assert again.count("was there already") >= 3, "played on, and shown again"


def test_its_commands_are_what_it_has_done(kept: tuple[Path, str]) -> None:
    folder, said = kept
    printed = [shlex.split(line[2:])[1:] for line in said.splitlines() if line.startswith("$ goodctl")]
    assert len(printed) >= 12
    done = {words[0]: parsed(words)[1] for words in printed}  # all of them are commands
    settings = RunManifest.read(folder / "demo" / "run").settings
    for name in ("alpha", "k", "num_return_sequences", "with_base", "scorer", "model", "perplexity_model"):
        assert done["run"][name] == getattr(settings, name), name
    made = json.loads((folder / "demo" / "languages.steered.jsonl.manifest.json").read_text())["settings"]
    for name in ("k", "num_return_sequences", "explain"):
        assert done["generate"][name] == made[name], name
    assert made["alpha"] == 1, "which is the default, as the command has it"
    for words in printed:
        if words[1] in {"log", "inspect"}:
            run(*words, cwd=folder / "demo")


def test_without_a_folder_only_the_report_is_left(tmp_path: Path, tiny: str) -> None:
    for _ in range(2):
        ended = run("demo", "--model", tiny, "--json", cwd=tmp_path)
        values = json.loads(ended.stdout)
        assert values["folder"] is None
        assert values["report"] == str(tmp_path / "goodctl-demo.html")
    assert [path.name for path in tmp_path.iterdir()] == ["goodctl-demo.html"]
    assert "<html" in (tmp_path / "goodctl-demo.html").read_text()[:500]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, tiny: str) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ended = run("demo", "--keep", ".", "--model", tiny, cwd=tmp_path, code=4)
    assert "is not empty" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_report_that_cannot_be_left_is_found_out_first(tmp_path: Path, tiny: str) -> None:
    (tmp_path / "goodctl-demo.html").mkdir()
    ended = run("demo", "--model", tiny, cwd=tmp_path, code=5)
    assert "it is a folder" in ended.stderr
    assert ended.stdout == ""


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    ended = run("demo", "--model", "./nosuch", cwd=tmp_path, code=3)
    assert "nosuch" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_is_asked_and_no_is_no(tmp_path: Path, tiny: str) -> None:
    parent, child = pty.openpty()
    command = [*GOODCTL, "demo", "--model", tiny]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdin=child, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        os.write(parent, b"n\n")
        output, _ = process.communicate(timeout=120)
    os.close(parent)
    os.close(child)
    assert b"Begin?" in output
    assert process.returncode == 1
    assert list(tmp_path.iterdir()) == []
