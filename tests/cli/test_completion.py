"""Completion as shells ask for it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from goodctl.cli import complete
from goodctl.cli.bash_words import joined
from goodctl.datastore.properties import BY, KEY_DTYPES
from goodctl.index.codec_choices import CODEC_CHOICES, MERGED_CODEC_CHOICES
from goodctl.index.fidelities import FIDELITIES, TUNED
from goodctl.index.kinds import KINDS
from goodctl.models.key_layer import KEY_LAYERS
from goodctl.models.names import PRECISIONS
from goodctl.scoring.known_classifiers import presets
from goodctl.scoring.registry import scorer_names
from goodctl.steering.names import METHODS
from goodctl.workflows.presets import PRESETS
from tests.cli.examples import commands
from tests.cli.test_cli import HEAVY, environment
from tests.commands import run_command
from tests.fakes.plugin import write_plugin

SCORE = "goodctl score f.jsonl"
VALUES = {
    "goodctl generate p --method ": METHODS,
    "goodctl generate p --preset ": PRESETS,
    "goodctl generate p --fidelity ": FIDELITIES,
    "goodctl generate p --precision ": PRECISIONS,
    "goodctl generate p --device ": ("auto", "cpu", "cuda", "mps"),
    "goodctl generate p --model g": ("gemma3-270m",),
    "goodctl datastore recall s --fidelity ": TUNED,
    "goodctl datastore recall s --fidelity high --fidelity f": ("fast",),
    "goodctl datastore build s t --index ": (*KINDS, "none"),
    "goodctl datastore build s t --key-layer ": KEY_LAYERS,
    "goodctl datastore build s t --key-dtype ": KEY_DTYPES,
    "goodctl datastore add s t --codec ": CODEC_CHOICES,
    "goodctl datastore merge a b --codec ": MERGED_CODEC_CHOICES,
    "goodctl datastore shard s o --by ": BY,
    f"{SCORE} --emit ": ("perspective",),
    f"{SCORE} --scorer hf:": tuple(f"hf:{model}" for model in presets()),
    f"{SCORE} --scorer=prof": ("profanity",),
    f"{SCORE} --attributes TOXICITY,THR": ("TOXICITY,THREAT", "TOXICITY,THREAT_EXPERIMENTAL"),
    f"{SCORE} --attributes thr": ("threat", "threat_experimental"),
    "goodctl agree a b --attribute obs": ("obscene",),
    "goodctl sc": ("score",),
    "goodctl datastore gc s --older": ("--older-than",),
}
FILES = (
    "goodctl datastore inspect ",
    "goodctl datastore build store ",
    "goodctl datastore build s t --model ",
    "goodctl generate ",
    "goodctl generate p --toxic ",
    f"{SCORE} --out ",
)


def asked(shell: str, line: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    variables = {"_GOODCTL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, **more}
    return run_command([], cwd, {**environment(), **variables})


@pytest.mark.parametrize("line", VALUES)
def test_values_in_fish(line: str, tmp_path: Path) -> None:
    ended = asked("fish", line, tmp_path, _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert tuple(each.partition("\t")[0] for each in ended.stdout.split("\n") if each) == tuple(VALUES[line])
    assert ended.stderr == ""


def test_fish_is_told_when_to_complete_files(tmp_path: Path) -> None:
    for line, code in ((next(iter(VALUES)), 0), (FILES[0], 1)):
        assert asked("fish", line, tmp_path, _TYPER_COMPLETE_FISH_ACTION="is-args").returncode == code


def test_values_and_files_in_zsh(tmp_path: Path) -> None:
    ended = asked("zsh", "goodctl generate p --fidelity ", tmp_path)
    assert ended.stdout == '_arguments \'*: :(("exact"\n"high"\n"fast"))\'\n'
    for line in FILES:
        assert asked("zsh", line, tmp_path).stdout == "_files\n", line


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``goodctl`` on the path of a shell."""
    file = tmp_path / "bin" / "goodctl"
    file.parent.mkdir()
    start = "import sys; sys.argv[0] = 'goodctl'; from goodctl.cli.app import main; main()"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{start}" "$@"\n')
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return file


def in_shell(*command: str, cwd: Path) -> str:
    ended = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


BASH_LINES = {
    ("generate", "p", "--method", "knn"): ["knn-lm", "knn-lm-discourage"],
    ("generate", "p", "--fidelity", "=", "h"): ["high"],
    ("score", "f", "--scorer", "hf", ":", "unitary/to"): ["unitary/toxic-bert"],
    ("score", "f", "--scorer", "=", "hf", ":", "unitary/to"): ["unitary/toxic-bert"],
    ("score", "f", "--scorer", "hf", ":"): list(presets()),
    ("score", "f", "--scorer", "route", ":", "my"): ["my.json", "myfolder/"],
    ("score", "f", "--scorer", "hf", ":", "unitary/toxic-bert", "--emit", ""): ["perspective"],
    ("datastore", "inspect", ""): [],
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_itself(program: Path, tmp_path: Path) -> None:
    (tmp_path / "my.json").touch()
    (tmp_path / "my.txt").touch()
    (tmp_path / "myfolder").mkdir()
    script = ['eval "$(goodctl --show-completion)"']
    for line in BASH_LINES:
        words = " ".join(f"'{word}'" for word in ("goodctl", *line))
        script.append(f"COMP_WORDS=({words}); COMP_CWORD={len(line)}; COMPREPLY=(); _goodctl_completion goodctl")
        script.append('(IFS=" "; echo "${COMPREPLY[*]}")')
    shown = in_shell("bash", "--norc", "-c", "\n".join(script), cwd=tmp_path)
    assert shown.splitlines() == [" ".join(answer) for answer in BASH_LINES.values()]


@pytest.mark.parametrize(
    ("shell", "file", "says"),
    [
        ("bash", ".bash_completions/goodctl.sh", "complete -o default -F _goodctl_completion goodctl"),
        ("zsh", ".zfunc/_goodctl", "#compdef goodctl"),
        ("fish", ".config/fish/completions/goodctl.fish", "complete --command goodctl"),
    ],
)
def test_installing_for_each_shell(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, file: str, says: str
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # then the shell is named
    shown = in_shell("goodctl", "--show-completion", shell, cwd=tmp_path)
    assert says in shown
    assert "_GOODCTL_COMPLETE" in shown
    in_shell("goodctl", "--install-completion", shell, cwd=tmp_path)
    assert (tmp_path / file).read_text().strip() == shown.strip()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_shell_that_asks_is_found_out(program: Path, tmp_path: Path) -> None:
    in_shell("bash", "--norc", "-c", "goodctl --install-completion; true", cwd=tmp_path)
    rc = tmp_path / ".bashrc"
    line = f"source '{tmp_path}/.bash_completions/goodctl.sh'"
    assert line in rc.read_text()
    shown = in_shell("bash", "--norc", "-c", f"source '{rc}'; complete -p goodctl", cwd=tmp_path)
    assert "_goodctl_completion goodctl" in shown


def test_completing_imports_nothing_heavy(tmp_path: Path) -> None:
    names = sorted({each for each in vars(complete) if each[0].islower()} - {"annotations"})
    functions = [name for name in names if getattr(getattr(complete, name), "__module__", "") == complete.__name__]
    assert len(functions) > 12
    script = f"""
import sys
from goodctl.cli import complete
for name in {functions!r}:
    getattr(complete, name)("")
    getattr(complete, name)("a")
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert ended.stdout.strip() == "[]", ended.stderr


def test_options_with_a_list_of_values_complete_it() -> None:
    """Whichever command comes next."""
    wanted = {
        "method", "preset", "fidelity", "scorer", "device", "precision", "index", "codec", "key_layer", "key_dtype",
        "attributes", "attribute", "by", "emit", "model", "expert", "antiexpert", "perplexity_model",
    }  # fmt: skip
    without = {
        f"{command.name} --{each.name.replace('_', '-')}"
        for command in commands()
        for each in command.command.params
        if each.name in wanted and each._custom_shell_complete is None
    }
    assert not without, "give them autocompletion=complete.…, as in goodctl/cli/options.py"
    assert wanted == {each.name for command in commands() for each in command.command.params} & wanted


def test_scorers_of_plug_ins_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(write_plugin(tmp_path, fake="tests.fakes.scorers:open_scorer")))
    assert "fake" in complete.scorers("")
    assert {name.partition(":")[0] for name in complete.scorers("")} == set(scorer_names())


@pytest.mark.parametrize(
    ("words", "place", "whole", "at", "had"),
    [
        (["goodctl", "a", "b"], 2, ["goodctl", "a", "b"], 2, ""),
        (["goodctl", "a"], 2, ["goodctl", "a"], 2, ""),
        (["goodctl", "-s", "hf", ":", "u"], 4, ["goodctl", "-s", "hf:u"], 2, "hf:"),
        (["goodctl", "-s", "hf", ":"], 3, ["goodctl", "-s", "hf:"], 2, "hf:"),
        (["goodctl", "--x", "=", "hf", ":", "u", "b"], 6, ["goodctl", "--x=hf:u", "b"], 2, ""),
        (["goodctl", "--x", "=", "hf", ":", "u"], 5, ["goodctl", "--x=hf:u"], 1, "hf:"),
        (["goodctl", "--x", "=", ""], 3, ["goodctl", "--x="], 1, ""),
        (["goodctl", ""], 1, ["goodctl", ""], 1, ""),
    ],
)
def test_words_that_bash_has_cut(words: list[str], place: int, whole: list[str], at: int, had: str) -> None:
    assert joined(words, place) == (whole, at, had)
