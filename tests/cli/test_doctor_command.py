"""``goodctl doctor`` as a process, on this installation and on broken ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from goodctl.cli.render_doctor import diagnosed
from goodctl.workflows.doctor_findings import Diagnosis, Finding, Section, State
from tests.cli.test_cli import environment, run

KEY = "AIza-a-key-that-nobody-may-see"


def started(*arguments: str, cwd: Path, code: int, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process that starts Python anew, so that variables for Python itself have an effect."""
    ended = subprocess.run(
        [sys.executable, "-m", "goodctl", "doctor", "--offline", *arguments],
        cwd=cwd,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended


def test_this_installation_works_and_no_line_is_too_long(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    ended = run("doctor", "--offline", cwd=tmp_path)
    assert ended.stdout.startswith("goodctl works here.\n")
    assert "torch" in ended.stdout
    assert "PERSPECTIVE_API_KEY is set" in ended.stdout
    assert KEY not in ended.stdout + ended.stderr
    table = ended.stdout.partition("\nNext\n")[0]
    assert max(len(line) for line in table.splitlines()) <= 80
    assert not list(own_cache.iterdir())


def test_json_is_one_object_and_quiet_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "filelock.py").write_text("raise ImportError('a file of the user, and not the package')\n")
    ended = run("doctor", "--offline", "--json", "--quiet", cwd=tmp_path)
    found = json.loads(ended.stdout)
    assert found["works"] is True
    assert found["offline"] is True
    assert {each["name"]: each["state"] for each in found["sections"]["versions"]}["torch"] == "ok"
    assert ended.stderr == ""


def test_a_package_that_cannot_be_imported_and_one_that_crashes(tmp_path: Path) -> None:
    for name, program in (("zarr", "raise ImportError('made broken')"), ("faiss", "import os; os.abort()")):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "__init__.py").write_text(program + "\n")
    path = f"{tmp_path / 'broken'}:{environment()['PYTHONPATH']}"
    ended = started("--json", cwd=tmp_path, code=1, PYTHONPATH=path)
    found: dict[str, list[dict[str, Any]]] = json.loads(ended.stdout)["sections"]
    states = {each["name"]: each for each in found["versions"]}
    assert states["zarr"]["state"] == "broken"
    assert "made broken" in states["zarr"]["text"]
    assert states["torch"]["state"] == "ok"
    extras = {each["name"]: each for each in found["extras"]}
    assert extras["cpu"]["state"] == "warning"
    assert "crashed with signal" in extras["cpu"]["text"]


def test_a_package_that_the_command_line_itself_needs(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "filelock.py").write_text("raise ImportError('made broken')\n")
    ended = started(cwd=tmp_path, code=1, PYTHONPATH=f"{tmp_path / 'broken'}:{environment()['PYTHONPATH']}")
    assert "filelock" in ended.stdout.splitlines()[0]
    assert "made broken" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_folder_that_has_been_deleted(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = "import os, shutil; shutil.rmtree(os.getcwd()); from goodctl.cli.app import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", script, "doctor", "--offline"],
        cwd=tmp_path / "gone", env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert "this folder has been deleted" in " ".join(ended.stdout.split()).replace("broken ", ""), ended.stderr
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)


def test_a_cache_that_cannot_be_written_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GOODCTL_CACHE", str(tmp_path / "file"))
    ended = run("doctor", "--offline", cwd=tmp_path, code=1)
    assert "goodctl does not work here. Broken, and essential: cache." in ended.stdout
    assert "export GOODCTL_CACHE=FOLDER" in ended.stdout


def drawn(*findings: Finding) -> str:
    from io import StringIO

    from rich.console import Console

    console = Console(file=StringIO(), width=80, soft_wrap=True)
    for part in diagnosed(Diagnosis((Section("s", "Some things", findings),), offline=True)):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_what_to_do_next_comes_last_and_the_most_urgent_first() -> None:
    text = drawn(
        Finding("extra", State.MISSING, "not there", "pip install 'goodctl[extra]'"),
        Finding("core", State.BROKEN, "[red]odd\x1b text", "pip install " + "core " * 30),
        Finding(
            "slow",
            State.WARNING,
            "slow",
            "A sentence of advice that is too long for one line of eighty columns, as it is.",
        ),
    )
    assert text.startswith("goodctl does not work here. Broken, and essential: core.\n")
    assert "[red]odd\N{REPLACEMENT CHARACTER} text" in text
    steps = text.partition("\nNext\n")[2]
    assert "pip install " + "core " * 29 in steps
    assert steps.index("pip install core") < steps.index("A sentence") < steps.index("goodctl[extra]")
    assert all(len(line) <= 80 for line in steps.splitlines() if "core core" not in line)


def test_where_nothing_is_missing_the_help_is_next() -> None:
    assert "Nothing is missing" in drawn(Finding("all", State.OK, "good"))
