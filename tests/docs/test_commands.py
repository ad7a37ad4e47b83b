"""The commands and the Python of the tutorial and the how-to pages work, in the order in which they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import run_command
from tests.docs.pages import DOCS, ROOT, Block, blocks
from tests.fakes.tiny import tiny_model_folder

RUN_PAGES = (DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md")))
MODEL = "gemma3-270m"
MOST_COMMANDS = 122


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("model") / "tiny", window=512)


def executed(page: Path) -> list[Block]:
    return [block for block in blocks(page) if not block.mark.startswith("not run: ")]


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.stem)
def test_page_works(page: Path, model: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    environment = {
        **os.environ,
        "GOODCTL_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }

    def check(done: subprocess.CompletedProcess[str], wanted: int) -> None:
        assert done.returncode == wanted, f"{page.name}: {done.args}\n{done.stdout}\n{done.stderr}"

    found = executed(page)
    for block in found:
        exits = re.fullmatch(r"exits (\d+)", block.mark)
        for command in block.commands:
            program, *arguments = shlex.split(command)
            if program == "goodctl":
                arguments = [str(model) if word == MODEL else word for word in arguments]
                check(run_command(arguments, tmp_path, environment), int(exits[1]) if exits else 0)
    # The pieces of a page are one program, as a reader would try them.
    python = "\n".join(block.text for block in found if block.language == "python")
    if python:
        script = [sys.executable, "-c", python.replace(f'"{MODEL}"', repr(str(model)))]
        check(subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True), 0)


def test_marks_are_known() -> None:
    for page in RUN_PAGES:
        for block in blocks(page):
            assert re.fullmatch(r"|exits \d+|not run: .+", block.mark), f"{page.name}: {block.mark}"


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.stem)
def test_nothing_is_left_to_be_filled_in(page: Path) -> None:
    assert "@@" not in page.read_text(encoding="utf-8")
    consoles = [block for block in blocks(page) if block.language == "console"]
    assert [block.text for block in consoles if not block.commands] == []


def test_running_them_stays_quick() -> None:
    commands = [
        command for page in RUN_PAGES for block in executed(page) for command in block.commands if "goodctl" in command
    ]
    assert 0 < len(commands) <= MOST_COMMANDS
