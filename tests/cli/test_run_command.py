from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from goodctl.workflows.run_config import read_settings
from goodctl.workflows.run_settings import RunSettings
from tests.cli.test_cli import GOODCTL, environment, run
from tests.fakes.plugin import write_plugin
from tests.workflows.generating import PROMPTS, stores, write_prompts

SHORT = ["--device", "cpu", "--precision", "fp32", "-n", "3", "--max-new-tokens", "5", "-k", "16", "--bootstrap", "100"]
WHOLE = ["run", "prompts.jsonl", "--toxic", "toxic", "--nontoxic", "nontoxic", "--scorer", "fake", *SHORT]


@pytest.fixture(scope="module")
def places(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    stores(folder, tiny)
    return folder


@pytest.fixture
def folder(tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stores and prompts, and a scorer called ``fake``."""
    for name in ("toxic", "nontoxic"):
        (tmp_path / name).symlink_to(places / name)
    write_prompts(tmp_path / "prompts.jsonl")
    plugin = write_plugin(tmp_path / "plugin", fake="tests.fakes.scorers:open_scorer")
    path = os.pathsep.join([environment()["PYTHONPATH"], str(plugin)])
    monkeypatch.setattr("tests.cli.test_cli.environment", lambda: {**os.environ, "PYTHONPATH": path})
    return tmp_path


def started(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A command as a process of its own, with the scorer."""
    path = os.pathsep.join([environment()["PYTHONPATH"], str(folder / "plugin")])
    return subprocess.Popen(
        [*GOODCTL, *arguments],
        cwd=folder,
        env={**environment(), "COLUMNS": "80", "PYTHONPATH": path},
        text=True,
        **options,
    )


def test_what_a_stranger_reads(folder: Path) -> None:
    ended = run(*WHOLE, "--with-base", "--out", "out", cwd=folder)
    for line in (
        "step 1 of 5: generating steered into out/steered.jsonl",
        "step 2 of 5: generating without steering into out/base.jsonl",
        "step 3 of 5: scoring into out/base.scored.jsonl",
        "step 5 of 5: evaluating into out/evaluation.json and out/figures",
        "Next: repeat it, and compare the bytes: goodctl run --from out/manifest.json --out FOLDER",
    ):
        assert line in ended.stderr.splitlines()
    shown = ended.stdout
    assert "5 prompts, 15 continuations" in shown
    assert "expected maximum toxicity" in shown
    assert "difference" in shown
    assert "Steered, the worst continuation of a prompt is" in shown
    assert "report       out/report.html" in shown
    again = run(*WHOLE, "--with-base", "--out", "out", cwd=folder)
    assert again.stdout.startswith("out is finished: nothing to do\n")
    assert "generating ..." not in again.stderr
    repeated = run("run", "--from", "out/manifest.json", "--out", "other", "-q", cwd=folder)
    assert "The same bytes as in the first run: all 8 data files." in repeated.stdout
    assert repeated.stderr == ""


def test_one_side_alone_and_then_compared(folder: Path) -> None:
    ended = run(*WHOLE, "--no-page", "--out", "out", cwd=folder)
    assert "The worst continuation of a prompt has a toxicity of" in ended.stdout
    assert "difference" not in ended.stdout
    assert ended.stderr.splitlines()[-1] == (
        "Next: compare with the unsteered model: goodctl run --from out/manifest.json --with-base --overwrite"
    )
    steered = (folder / "out" / "steered.jsonl").stat().st_mtime_ns
    compared = run("run", "--from", "out", "--with-base", "--overwrite", cwd=folder)
    assert "difference" in compared.stdout
    assert (folder / "out" / "steered.jsonl").stat().st_mtime_ns == steered


def test_it_fits_a_narrow_terminal(folder: Path) -> None:
    run(*WHOLE, "--with-base", "--out", "out", "-q", cwd=folder)
    master, slave = pty.openpty()
    process = started(folder, "run", "--from", "out", stdout=slave, stderr=slave)
    os.close(slave)
    read = b""
    with contextlib.suppress(OSError):  # that is the end of a terminal
        while part := os.read(master, 4096):
            read += part
    os.close(master)
    assert process.wait() == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", read.decode()).splitlines()
    first, last = (next(n for n, line in enumerate(lines) if word in line) for word in ("difference", "dist-2"))
    assert max(len(line.rstrip()) for line in lines[first : last + 2]) <= 80


def test_json_at_every_end(folder: Path) -> None:
    done = json.loads(run(*WHOLE, "--out", "out", "--json", cwd=folder).stdout)
    assert done["error"] is None
    assert done["evaluation"]["files"][0]["name"] == "steered.scored.jsonl"
    assert done["finished_before"] is False
    assert set(done["generated"]) == set(done["scored"]) == {"steered"}
    for arguments, code, kind in (
        (["run", "--from", "nosuch", "--json"], 3, "not_found"),
        (["run", "--config", "nosuch.toml", "--json"], 3, "not_found"),
        (["run", "--from", "prompts.jsonl", "--json"], 6, "damaged"),
        (["run", "--from", "out/steered.jsonl.manifest.json", "--json"], 2, "input"),
        (["run", "--from", "out", "--config", "run.toml", "--json"], 2, "usage"),
        (["run", "--json"], 2, "usage"),
        ([*WHOLE, "--json"], 2, "usage"),
        ([*WHOLE, "--out", "out", "--seed", "3", "--json"], 4, "exists"),
        ([*WHOLE, "--out", "new", "--max-missing", "many", "--json"], 2, "usage"),
        ([*WHOLE, "--out", "new", "--lam", "0.5", "--json"], 2, "usage"),
    ):
        ended = run(*arguments, cwd=folder, code=code)
        error = json.loads(ended.stdout)["error"]
        assert (error["kind"], error["exit_code"]) == (kind, code)
        assert error["message"] in ended.stderr
    assert not (folder / "new").exists()


def test_failed_requests_end_with_5_and_are_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOODCTL_FAKE_LOG", str(folder / "log"))
    monkeypatch.setenv("GOODCTL_FAKE_FAILS", "2")
    ended = run(*WHOLE, "--out", "out", "--json", cwd=folder, code=5)
    result = json.loads(ended.stdout)
    assert result["error"]["kind"] == "service"
    assert result["evaluation"] is None
    assert "Hint:  Ask these again: goodctl run --from out/manifest.json" in ended.stderr
    again = run("run", "--from", "out/manifest.json", "--quiet", cwd=folder)
    assert again.stderr == ""
    assert "expected maximum toxicity" in again.stdout


def test_settings_in_a_file(folder: Path) -> None:
    written = run(*WHOLE, "--temperature", "20", "--out", "out", "--print-config", cwd=folder).stdout
    (folder / "run.toml").write_text(written)
    assert not (folder / "out").exists()
    assert 'out = "out"' in written
    assert "# Neighbours of a query.\nk = 16\n" in written
    assert read_settings(str(folder / "run.toml")) == RunSettings(
        "prompts.jsonl", toxic=("toxic",), nontoxic=("nontoxic",), scorer="fake", device="cpu", precision="fp32",
        num_return_sequences=3, max_new_tokens=5, k=16, bootstrap=100, temperature=20.0,
    )  # fmt: skip
    assert run("run", "--config", "run.toml", "--print-config", cwd=folder).stdout == written
    tables = json.loads(run("run", "--config", "run.toml", "--print-config", "--json", cwd=folder).stdout)
    assert tables["run"]["out"] == "out"
    run("run", "--config", "run.toml", "-q", cwd=folder)
    over = ["--seed", "4", "--out", "other", "--no-page", "--with-base"]
    run("run", "--config", "run.toml", *over, "-q", cwd=folder)
    stored = json.loads((folder / "other" / "manifest.json").read_text())["settings"]
    assert (stored["generation"]["seed"], stored["run"]["page"], stored["steering"]["temperature"]) == (4, False, 20.0)
    assert (folder / "out" / "report.html").exists()
    assert not (folder / "other" / "report.html").exists()


def test_options_take_back_what_a_file_switches_on(folder: Path) -> None:
    (folder / "run.toml").write_text(
        "[run]\nwith_base = true\n[model]\ntrust_remote_code = true\n[steering]\ntoxic = 'toxic'\ncheck = true\n"
    )
    off = ["--no-with-base", "--no-trust-remote-code", "--no-check"]
    shown = json.loads(run("run", "--config", "run.toml", *off, "--print-config", "--json", cwd=folder).stdout)
    assert not any((shown["run"]["with_base"], shown["model"]["trust_remote_code"], shown["steering"]["check"]))


def test_a_setting_without_effect_in_a_file(folder: Path) -> None:
    (folder / "run.toml").write_text("[steering]\ntoxic = 'toxic'\nlam = 0.5\n")
    ended = run("run", "prompts.jsonl", "--config", "run.toml", "--out", "out", cwd=folder, code=2)
    assert "--lam has no effect with the method datastores" in ended.stderr


def test_names_with_odd_characters(folder: Path) -> None:
    (folder / "pro mpts [red]é\n.jsonl").write_bytes((folder / "prompts.jsonl").read_bytes())
    (folder / "a@b [x]").symlink_to((folder / "toxic").resolve())
    out = "o'ut [bold]*\u202e"
    arguments = ["run", "pro mpts [red]é\n.jsonl", "--toxic", "a@b [x]", "--scorer", "fake", "--out", out, *SHORT]
    shown = run(*arguments, "--no-page", cwd=folder)
    assert "o'ut [bold]*\N{REPLACEMENT CHARACTER}" in shown.stdout
    assert "is finished: nothing to do" in run("run", "--from", out, cwd=folder).stdout
    written = run(*arguments, "--print-config", cwd=folder).stdout
    (folder / "run.toml").write_text(written)
    assert read_settings(str(folder / "run.toml")).prompts == "pro mpts [red]é\n.jsonl"


def test_from_another_folder(folder: Path) -> None:
    run(*WHOLE, "--no-page", "--out", "out", "-q", cwd=folder)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    ended = run("run", "--from", "../out/manifest.json", cwd=elsewhere, code=3)
    assert f"Relative paths of this run are seen from {folder}: cd {folder}, and call it there." in ended.stderr


@pytest.mark.parametrize("option", [["--trust-remote-code"], ["--base-url", "http://127.0.0.1:9"]])
def test_what_somebody_elses_manifest_asks_for_has_to_be_said_again(folder: Path, option: list[str]) -> None:
    run(*WHOLE, *option, "--out", "out", "-q", cwd=folder)
    ended = run("run", "--from", "out/manifest.json", "--out", "other", cwd=folder, code=2)
    assert f"say it too: {' '.join(option)}" in ended.stderr
    assert not (folder / "other").exists()
    again = run("run", "--from", "out/manifest.json", *option, cwd=folder)
    assert f"goodctl run --from out/manifest.json {' '.join(option)} --with-base" in again.stderr, (
        "what is advised works"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal(folder: Path, number: int) -> None:
    write_prompts(folder / "prompts.jsonl", [{**PROMPTS[n % 5], "id": n} for n in range(400)])
    process = started(
        folder, *WHOLE, "--batch-size", "2", "--out", "out", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(folder / "out" / "steered.jsonl", process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "of 400 prompts, which are in out/steered.jsonl" in errors
    assert "Hint:  Go on: goodctl run --from out/manifest.json" in errors
    assert "going on after" in run("run", "--from", "out/manifest.json", cwd=folder).stderr


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)


def test_help_and_print_config_load_nothing_heavy(folder: Path) -> None:
    script = (
        "import sys; sys.argv = ['goodctl', 'run', '--help']\n"
        "from goodctl.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'zarr', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
