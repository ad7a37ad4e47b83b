"""Every ``--help`` ends with an example that works, and says each option in one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from goodctl.cli.app import app
from goodctl.cli.panels import COMMANDS
from tests.cli.examples import Command, commands, parsed
from tests.commands import run_command
from tests.docs.pages import ROOT
from tests.fakes.tiny import tiny_model_folder

MODEL = "gemma3-270m"
ALL = commands()
LEAVES = [each for each in ALL if not each.is_group]
MOST_LETTERS = 100
"""Of the help of an option: more is for the manual."""

SERVERS = {("serve", "perspective")}
"""They end only when they are told to, so their examples are parsed and not run. So are those that score with
Perspective, which would need a key and a network."""

ELSEWHERE = {("demo",)}
"""``test_demo_command.py`` runs these examples, which take long."""

MADE_BY_EXAMPLE: dict[tuple[str, ...], tuple[str, ...]] = {
    ("datastore", "build"): ("nontoxic",),
    ("datastore", "add"): ("nontoxic",),
    ("generate",): ("steered.jsonl",),
    ("score",): ("steered.scored.jsonl",),
}
"""What is in the prepared folder, and an example makes itself: taken away before it runs, with its manifest."""


def build(folder: Path, run: Callable[..., None]) -> None:
    """The files and stores that the examples name, by the commands that make them."""
    for name, source in (("english.txt", "en.txt"), ("rude.txt", "rude.txt"), ("held-out.txt", "es.txt")):
        lines = (ROOT / "examples" / source).read_text(encoding="utf-8").splitlines()[:12]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "french.csv").write_text("comment\nLe thé est prêt.\nBonjour à tous.\n", encoding="utf-8")
    prompts = [{"prompt": {"text": text}, "lang": "en"} for text in ("Thank you for", "The tea is")]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in prompts))
    store = ["--model", MODEL, "--language", "en", "--quiet"]
    run("datastore", "build", "nontoxic", "english.txt", *store, "--label", "nontoxic")
    shutil.copytree(folder / "nontoxic", folder / "nontoxic before add")
    run("datastore", "add", "nontoxic", "french.csv", "--text-field", "comment", "--language", "fr", "--quiet")
    run("datastore", "build", "toxic", "rude.txt", *store, "--label", "toxic")
    run("datastore", "add", "toxic", "english.txt", "--language", "en", "--quiet")
    few = ["-n", "2", "--max-new-tokens", "3", "--quiet"]
    sides = ["--toxic", "toxic", "--nontoxic", "nontoxic"]
    run("generate", "prompts.jsonl", "--model", MODEL, "--out", "base.jsonl", *few)
    run("generate", "prompts.jsonl", *sides, "--out", "steered.jsonl", *few)
    for name in ("base", "steered"):
        scorer = ["--scorer", "profanity", "--language", "en", "--quiet"]
        run("score", f"{name}.jsonl", *scorer, "--out", f"{name}.scored.jsonl")
    for name, source in (("local", "scored-a"), ("perspective", "scored-b")):
        for ending in (".jsonl", ".jsonl.manifest.json"):
            shutil.copy(ROOT / "examples" / f"{source}{ending}", folder / f"{name}.scored{ending}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model_folder(tmp_path_factory.mktemp("model") / "tiny", window=512))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "folder"
    folder.mkdir()

    def run(*arguments: str) -> None:
        execute([*arguments], folder, model)

    build(folder, run)
    return folder


def execute(arguments: list[str], folder: Path, model: str) -> str:
    environment = {
        **os.environ,
        "GOODCTL_CACHE": str(folder.parent / "cache"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    ended = run_command([model if word == MODEL else word for word in arguments], folder, environment)
    assert ended.returncode == 0, (
        f"goodctl {' '.join(arguments)} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}\n"
        f"If it is the example of a new command: the files that it names are made by build() in {__file__}. "
        "Name those that are there, or add what is missing; what the example makes itself goes into MADE_BY_EXAMPLE."
    )
    return ended.stdout


def of(command: Command) -> str:
    return command.name


@pytest.mark.parametrize("command", ALL, ids=of)
def test_every_help_ends_with_one_example_of_the_command(command: Command) -> None:
    words = command.example
    assert words, (
        f"{command.name} --help has no example: give app.command(...) an epilog that begins with 'Example: goodctl'"
    )
    path, _ = parsed(words)
    assert path[: len(command.path)] == command.path, f"the example of {command.name} is of {path}"
    shown = CliRunner().invoke(app, [*command.path, "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert shown.exit_code == 0
    assert shown.stdout.rstrip().splitlines()[-1].strip() == command.command.epilog
    assert shown.stdout.count("Example:") == 1


@pytest.mark.parametrize("command", ALL, ids=of)
def test_every_option_is_said_in_one_line(command: Command) -> None:
    for each in command.command.params:
        text = str(each.help or "")
        assert text, f"{command.name}: {each.name} has no help"
        assert "\n" not in text, f"{command.name}: {each.name}"
        assert len(text) <= MOST_LETTERS, f"{command.name}: {each.name}: {len(text)} letters"
        assert text.endswith("."), f"{command.name}: {each.name}: {text}"
        assert "[" not in text, f"{command.name}: {each.name}: what is in [] is taken for markup, and vanishes"


@pytest.mark.parametrize("command", LEAVES, ids=of)
def test_every_example_works(command: Command, prepared: Path, model: str, tmp_path: Path) -> None:
    words = command.example
    path, given = parsed(words)
    if path in SERVERS | ELSEWHERE or given.get("scorer") == "perspective":
        return  # that it can be parsed is what was to be seen
    folder = tmp_path / "folder"
    shutil.copytree(prepared, folder)
    for name in MADE_BY_EXAMPLE.get(path, ()):
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        (folder / f"{name}.manifest.json").unlink(missing_ok=True)
    if path == ("datastore", "add"):
        (folder / "nontoxic before add").rename(folder / "nontoxic")
    before = set(folder.rglob("*"))
    assert execute(words, folder, model)
    writes = {"out", "html", "fit"} & {name for name, value in given.items() if isinstance(value, str)}
    for name in writes:
        assert (folder / given[name]).exists(), f"{command.name} has not written {given[name]}"
        assert folder / given[name] not in before, f"{given[name]} was there before: add it to MADE_BY_EXAMPLE"


def test_the_commands_stand_in_panels_that_show_the_way() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "TERM": "dumb"}).stdout
    top = {each.path[0] for each in ALL if len(each.path) == 1}
    assert top <= set(COMMANDS), f"no panel: name it in goodctl/cli/panels.py: {top - set(COMMANDS)}"
    panels = list(dict.fromkeys(each.panel for name, each in COMMANDS.items() if name in top))
    places = [shown.index(f"─ {panel} ─") for panel in panels]
    assert places == sorted(places)
    assert "─ Commands ─" not in shown
    for name in top:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"│ {name} ")]
        assert line.rstrip("│ ").endswith((".", "?")), (
            f"goodctl --help has more than one line for {name}: give it a short one in goodctl/cli/panels.py"
        )
