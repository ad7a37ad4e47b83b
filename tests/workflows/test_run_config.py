from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goodctl.errors import InputError, NotFoundError
from goodctl.workflows.run_config import as_toml, read_config, read_settings
from goodctl.workflows.run_settings import TABLES, RunSettings

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.floats(allow_nan=False)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers(),
    "float": NUMBERS,
    "str": TEXTS,
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
}


def values(name: str, kind: str) -> st.SearchStrategy[Any]:
    if name == "attributes":
        return st.lists(st.from_regex(r"[a-z][a-z_]{0,6}x", fullmatch=True), min_size=1, unique=True).map(tuple)
    if name == "prompt_field":
        return st.none() | TEXTS.filter(lambda text: text != "auto")
    bare = kind.removesuffix(" | None")
    return KINDS[bare] if bare == kind else st.none() | KINDS[bare]


ALL = st.builds(RunSettings, **{each.name: values(each.name, str(each.type)) for each in fields(RunSettings)})


@given(made=ALL, out=TEXTS, comments=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_settings_that_are_written_are_read(made: RunSettings, out: str, comments: bool, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    words = {each.name: "what it means\nin two lines" for each in fields(RunSettings)} if comments else {}
    path.write_text(as_toml(made, words, out), encoding="utf-8", newline="")
    assert read_settings(str(path)) == made
    assert read_config(str(path)).get("out", "") == out


def test_defaults_are_there_and_commented_out(tmp_path: Path) -> None:
    text = as_toml(RunSettings(), {"k": "Neighbours of a query."})
    assert tomllib.loads(text) == {table: {} for table in TABLES}
    assert "# Neighbours of a query.\n# k = 1024\n" in text
    assert '# temperature = "auto"\n' in text
    # Every line is one that could be put into effect.
    (tmp_path / "all.toml").write_text(
        "\n".join(line.removeprefix("# ") for line in text.splitlines()[2:] if "=" in line or "[" in line)
    )
    assert set(read_config(str(tmp_path / "all.toml"))) | {"temperature", "batch_size"} == {
        "out", *(each.name for each in fields(RunSettings))
    }  # fmt: skip


def config(tmp_path: Path, text: str) -> str:
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    return str(tmp_path / "run.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("k = 5", "there is no table [k]"),
        ("[nosuch]\nk = 5", "there is no table [nosuch]"),
        ("run = 5", "run is no table"),
        ("[[run]]\nprompts = 'p'", "run is no table"),
        ("[steering]\nkk = 5", "there is no setting 'kk'"),
        ("[run]\nk = 5", "k stands in [run]"),
        ("[model]\nout = 'run'", "there is no setting 'out'"),
        ("[run]\nout = 5", "out = 5 is not a text in quotes"),
        ("[steering]\nk = '5'", "k = '5' is not a whole number"),
        ("[steering]\nk = 5.0", "k = 5.0 is not a whole number"),
        ("[steering]\nk = true", "k = True is not a whole number"),
        ("[steering]\nalpha = true", "alpha = True is not a number"),
        ("[steering]\nalpha = '1'", "alpha = '1' is not a number"),
        (f"[steering]\nalpha = 1{'0' * 400}", "is not a number"),
        ("[steering]\ntemperature = 'warm'", "is not a number or 'auto'"),
        ("[steering]\ntoxic = [1]", "toxic = [1] is not a list of texts"),
        ("[steering]\ntoxic = [['a']]", "is not a list of texts"),
        ("[run]\nwith_base = 'yes'", "with_base = 'yes' is not true or false"),
        ("[run]\nwith_base = 1", "with_base = 1 is not true or false"),
        ("[run]\nprompts = 2026-10-01", "is not a text in quotes"),
        ("[scoring]\nattributes = ['no name!']", "'no name!' is no attribute"),
        ("[scoring]\nattributes = []", "No attribute is named"),
        ("[evaluation]\nmax_missing = '200%'", "it is no share"),
        ("[evaluation]\nmax_missing = true", "is not a number"),
        ("[run]\nk = ", "Invalid value"),
        ("[run]\nprompts = 'a'\nprompts = 'b'", "Cannot overwrite a value"),
        ("\0", "run.toml: "),
        ("# " + "a" * 2**20, "too long"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = config(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_config(path)
    assert error.value.message.startswith(path)
    assert words in error.value.message
    assert error.value.hint


def test_hints(tmp_path: Path) -> None:
    for text, hint in (
        ("k = 5", "Write it below [steering]."),
        ("[run]\nk = 5", "Move it to [steering]."),
        ("[steering]\ntoxik = 'a'", "Is it toxic?"),
        ("[steerin]\nk = 5", "Is it steering?"),
    ):
        with pytest.raises(InputError) as error:
            read_config(config(tmp_path, text))
        assert error.value.hint == hint


def test_other_ways_to_write_it(tmp_path: Path) -> None:
    text = "\ufeff[steering]\ntoxic = 'toxic'\nalpha = 2\ntemperature = 'auto'\n"
    text += "[scoring]\nattributes = 'TOXICITY, insult'\n"
    path = config(tmp_path, f"{text}[evaluation]\nmax_missing = '5%'\n[generation]\nbatch_size = 'auto'\n")
    found = read_settings(path)
    assert found == RunSettings(toxic=("toxic",), alpha=2.0, attributes=("toxicity", "insult"), max_missing=0.05)
    assert isinstance(found.alpha, float)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_config(str(tmp_path / "nosuch.toml"))
    with pytest.raises(InputError):
        read_config(str(tmp_path))
    (tmp_path / "latin.toml").write_bytes("# café".encode("latin-1"))
    with pytest.raises(InputError):
        read_config(str(tmp_path / "latin.toml"))


def test_settings_take_lists_and_single_stores() -> None:
    made = RunSettings(toxic="toxic", nontoxic=["a", "b"], attributes="TOXICITY,Insult")  # type: ignore[arg-type]
    assert made == RunSettings(toxic=("toxic",), nontoxic=("a", "b"), attributes=("toxicity", "insult"))
    assert RunSettings().differences(made)["nontoxic"] == "nontoxic: none → a, b"
