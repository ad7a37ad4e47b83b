from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import GOODCTL, environment, run


def write(path: Path, count: int = 12, shift: float = 0.0, **columns: Any) -> None:
    lines = [
        {
            "prompt": {"text": f"prompt [bold]{number}", "toxicity": number / count},
            "lang": ("en", "[red]fr")[number % 2],
            "generations": [
                {"text": " a word", "toxicity": 0.4 * number / count + shift},
                {"text": " other words", "toxicity": 0.1},
            ],
            **columns,
        }
        for number in range(count)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "base.jsonl", shift=0.5)
    write(tmp_path / "steered.jsonl")
    (tmp_path / "plain.jsonl").write_text('{"prompt": "p", "generations": ["text"]}\n')
    (tmp_path / "broken.jsonl").write_text('{"prompt": "p", "generations": [{"text": "a", "toxicity": 7}]}\n')
    (tmp_path / "lacking.jsonl").write_text(
        '{"prompt": "p", "generations": [{"text": "a", "toxicity": null, "reason": "server"}]}\n'
    )
    (tmp_path / "twin").mkdir()
    write(tmp_path / "twin" / "base.jsonl")
    return tmp_path


def test_figures_and_differences(folder: Path) -> None:
    ended = run(
        "evaluate", "base.jsonl", "steered.jsonl", "--group-by", "lang", "--csv", "out", "--html", "r.html", cwd=folder
    )
    shown = ended.stdout
    assert "base.jsonl: 12 prompts, 24 continuations" in shown
    assert "steered.jsonl less base.jsonl on the 12 prompts that both have" in shown
    assert "[red]fr toxic" in shown, "texts of users are no markup"
    assert "[-.500 -.500]" in shown
    assert "[] is a 95% interval over prompts (2,000 resamples)" in shown
    assert "Wrote out/steered_toxicity_groupby.csv" in shown
    assert "Wrote r.html" in shown
    assert (folder / "r.html").read_text().startswith("<!DOCTYPE html>")
    found = json.loads(run("evaluate", "base.jsonl", "--json", "-q", cwd=folder).stdout)
    slices = {each["subset"]: each for each in found["files"][0]["slices"]}
    assert slices["toxic"]["prompts"] == 5
    assert f"{slices['all']['emt']['value']:.3f}" in shown
    assert found["written"] == []


def test_perplexity_and_no_torch_without_it(folder: Path, tiny: str) -> None:
    ended = run("evaluate", "base.jsonl", "--perplexity-model", tiny, "--device", "cpu", cwd=folder)
    assert "perplexity by" in ended.stdout
    assert "pooled" in ended.stdout
    assert "perplexity of base.jsonl: done in" in ended.stderr
    script = (
        "import sys; sys.argv = ['goodctl', 'evaluate', 'base.jsonl', '-q']\n"
        "from goodctl.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([GOODCTL[0], "-c", script], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["plain.jsonl"], 2, "input", "plain.jsonl:1: generations are not scored"),
        (["broken.jsonl"], 2, "input", "broken.jsonl:1: the toxicity of generation 1 is 7"),
        (["lacking.jsonl"], 2, "input", "1 of 1 scores are missing"),
        (["nosuch.jsonl"], 3, "not_found", "nosuch.jsonl"),
        (["twin"], 2, "usage", "JSON Lines"),
        (["base.jsonl", "./base.jsonl"], 2, "usage", "named twice"),
        (["base.jsonl", "--group-by", "domain"], 2, "usage", "'domain'"),
        (["base.jsonl", "--threshold", "2"], 2, "usage", "--threshold 2"),
        (["base.jsonl", "--max-missing", "lots"], 2, "usage", "--max-missing lots"),
        (["base.jsonl", "--max-missing", "200%"], 2, "usage", "--max-missing 200%"),
        (["base.jsonl", "--bootstrap", "3"], 2, "usage", "--bootstrap 3"),
        (["base.jsonl", "--seed", "-1"], 2, "usage", "--seed -1"),
        (["base.jsonl", "--csv", "steered.jsonl"], 2, "usage", "--csv steered.jsonl is a file"),
        (["base.jsonl", "--html", "steered.jsonl"], 2, "usage", "--html steered.jsonl is no .html file"),
        (["base.jsonl", "twin/base.jsonl", "--csv", "out"], 2, "usage", "would both give base_toxicity.csv"),
        (["base.jsonl", "--perplexity-model", "./nosuch"], 3, "not_found", "nosuch"),
    ],
)
def test_bad_input_is_refused_with_a_hint_and_leaves_nothing(
    folder: Path, arguments: list[str], code: int, kind: str, words: str
) -> None:
    before = sorted(folder.rglob("*"))
    if "--csv" not in arguments:
        arguments = [*arguments, "--csv", "out"]
    error = json.loads(run("evaluate", *arguments, "--json", cwd=folder, code=code).stdout)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert error["hint"]
    assert sorted(folder.rglob("*")) == before


def test_missing_scores_can_be_allowed(folder: Path) -> None:
    ended = run("evaluate", "lacking.jsonl", "--max-missing", "100%", "--bootstrap", "0", cwd=folder)
    assert "1 prompt without any score" in ended.stdout
    assert "server 1" in ended.stdout
    assert "no intervals were asked for" in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_nothing_behind(folder: Path, number: signal.Signals) -> None:
    write(folder / "large.jsonl", count=2000)
    process = subprocess.Popen(
        [*GOODCTL, "evaluate", "large.jsonl", "--csv", "out", "--bootstrap", "100000"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith("figures ..."):  # which take seconds with so many resamples
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Nothing was written" in errors
    assert not (folder / "out").exists()


def test_tables_fit_80_columns(folder: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With groups, perplexity, failed prompts, missing scores, and a long name: every cell is whole."""
    group = "a group with a rather long name, 一二三四五"
    for name, shift in (("one.jsonl", 0.5), ("two.jsonl", 0.0)):
        write(folder / name, shift=shift, lang=group)
        with (folder / name).open("a") as file:
            for at in range(3):
                file.write(json.dumps({"prompt": f"failed {at}", "lang": "en", "error": "no memory"}) + "\n")
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ("evaluate", "one.jsonl", "two.jsonl", "--group-by", "lang", "--max-missing", "100%")
    model = ("--perplexity-model", tiny, "--device", "cpu")
    ended = run(*arguments, *model, cwd=folder)
    assert "…" not in ended.stdout
    tables = ended.stdout.split("Toxicity\n")[1].split("two.jsonl:")[0] + ended.stdout.split("Differences\n")[1]
    lines = [line for line in tables.splitlines() if line.endswith("  ")]
    assert max(map(len, lines)) <= 80
    found = json.loads(run(*arguments, *model, "--json", cwd=folder).stdout)
    for figure in (each[name] for each in found["files"][0]["slices"] for name in ("emt", "mean", "toxic_share")):
        if figure["low"] is not None:
            low, high = (f"{figure[bound]:.3f}".removeprefix("0") for bound in ("low", "high"))
            assert f"[{low} {high}]" in tables
            assert f"{figure['value']:.3f}" in tables
    for figure in (each["emt"] for each in found["comparisons"][0]["slices"]):
        if figure["low"] is not None:
            assert f"{figure['value']:+.3f}" in tables
    assert "of 15" in tables, "prompts that have scores, of all"


def test_uneven_files_are_warned_of_and_not_coloured() -> None:
    from goodctl.cli.figures import change_text
    from goodctl.evaluation.figure import Figure

    sure = Figure(-0.24, -0.3, -0.2, None, 100, 0)
    assert change_text(sure).startswith("[green]")
    assert "[green]" not in change_text(sure, sure=False)


def test_the_warning_stands_beside_the_comparison(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "base.jsonl").read_text().splitlines()]
    for line in lines:
        line["generations"] = line["generations"][:1]
    (folder / "fewer.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ended = run("evaluate", "base.jsonl", "fewer.jsonl", "--html", "r.html", cwd=folder)
    words = "Prompts have other numbers of scored continuations in the two files: 2 in base.jsonl, 1 in fewer.jsonl."
    assert f"Warning: {words}" in ended.stdout
    assert (folder / "r.html").read_text().count(words) == 2, "beside the plot and beside the table"
    found = json.loads(run("evaluate", "base.jsonl", "fewer.jsonl", "--json", cwd=folder).stdout)
    assert found["comparisons"][0]["warnings"][0].startswith(words)


def test_a_manifest_with_what_json_lacks_does_no_harm(folder: Path) -> None:
    scorer = '{"scorer": "a\\ud800", "version": "1", "details": {"share": NaN, "most": 1e999}}'
    (folder / "base.jsonl.manifest.json").write_text(f'{{"format": "goodctl-scores", "scorer": {scorer}}}')

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(run("evaluate", "base.jsonl", "--json", cwd=folder).stdout, parse_constant=refuse)
    assert found["files"][0]["settings"]["scorer"] == {
        "scorer": "a\ufffd",
        "version": "1",
        "details": {"share": None, "most": None},
    }
