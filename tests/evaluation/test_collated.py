from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from goodctl.errors import InputError, NotFoundError, UsageError
from goodctl.evaluation.collated import ABSENT, read_collated

GOOD: dict[str, Any] = {
    "prompt": {"text": "Once", "toxicity": 0.7},
    "lang": "en",
    "generations": [{"text": " upon", "toxicity": 0.2}, {"text": "", "toxicity": None, "reason": "empty"}],
}


def write(path: Path, *lines: Any) -> str:
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
    return str(path)


def test_what_a_file_holds(tmp_path: Path) -> None:
    lines = [
        GOOD,
        {"prompt": "twice", "prompt_toxicity": 0.5, "lang": None, "generations": [{"text": "x", "toxicity": 1}]},
        {"prompt": None, "toxicity": 0.51, "lang": ["en", "fr"], "generations": [{"text": "y", "toxicity": None}]},
        {"text": "from a text", "generations": [{"text": "z", "toxicity": None, "reason": "server"}, {"text": "z"}]},
        {"prompt": "bad", "lang": 3, "error": "the prompt is empty"},
        {"prompt": "bad", "lang": {"b": 1, "a": 2}, "error": "the prompt is empty", "generations": []},
    ]
    path = write(tmp_path / "scored.jsonl", lines[0], "", *lines[1:])
    found = read_collated(path, 0.5, "lang")
    assert [row.prompt for row in found.rows] == ["Once", "twice", "", "from a text", "bad", "bad"]
    assert [row.line for row in found.rows] == [1, 3, 4, 5, 6, 7]
    assert [row.subset for row in found.rows] == ["toxic", "nontoxic", "toxic", "unknown", "unknown", "unknown"]
    assert [row.group for row in found.rows] == ["en", ABSENT, '["en", "fr"]', ABSENT, "3", '{"a": 2, "b": 1}']
    assert found.rows[0].scores == (0.2, None)
    assert (found.rows[0].maximum, found.rows[3].maximum) == (0.2, None)
    assert found.reasons == {"empty": 1, "no reason given": 1, "server": 1, "no toxicity": 1}
    assert [row.lacking for row in found.rows] == [
        (), (), ("no reason given",), ("server", "no toxicity"), (), (),
    ]  # fmt: skip
    assert [row.empty for row in found.rows] == [1, 0, 0, 0, 0, 0]
    assert [row.error for row in found.rows] == [None] * 4 + ["the prompt is empty"] * 2
    assert read_collated(path, 0.4).rows[1].subset == "toxic"
    assert {row.group for row in read_collated(path, 0.5).rows} == {None}


def test_compressed_files_are_the_same(tmp_path: Path) -> None:
    plain = read_collated(write(tmp_path / "a.jsonl", GOOD), 0.5)
    content = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(content))
    for name in ("a.jsonl.gz", "a.jsonl.zst"):
        assert read_collated(str(tmp_path / name), 0.5).rows == plain.rows


def changed(**members: Any) -> dict[str, Any]:
    return {**GOOD, **members}


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("{", "broken JSON", "Correct this line"),
        ("[1]", "not an object but a list", "generations"),
        (changed(generations=["plain"]), "generations are not scored", "goodctl score"),
        (changed(generations="text"), "generations are not a list but a string", "goodctl score"),
        ({"prompt": "p", "toxicity": 0.1}, "no generations", "goodctl score"),
        (changed(generations=[{"toxicity": 0.1}]), 'generation 1 is no object with a "text"', "goodctl score"),
        (changed(generations=[{"text": "", "toxicity": 1.5}]), "the toxicity of generation 1 is 1.5", "0 to 1|Correct"),
        (changed(generations=[{"text": "", "toxicity": -0.1}]), "is -0.1", "Correct"),
        (changed(generations=[{"text": "", "toxicity": "0.5"}]), 'is "0.5"', "Correct"),
        (changed(generations=[{"text": "", "toxicity": True}]), "is true", "Correct"),
        ('{"prompt": "p", "generations": [{"text": "", "toxicity": NaN}]}', "is NaN", "Correct"),
        (changed(generations=[{"text": "", "toxicity": {"a": "b" * 50}}]), "is an object", "Correct"),
        (changed(prompt={"text": "p", "toxicity": 2}), "prompt.toxicity is 2", "Correct"),
        (changed(prompt="p", prompt_toxicity="high"), 'prompt_toxicity is "high"', "Correct"),
        (changed(prompt={"toxicity": 0.1}), "no prompt", "prompt"),
        (changed(prompt=["p"]), "the prompt is no text but a list", "prompt"),
        (changed(generations=[{"text": "\ud800", "toxicity": 0.1}]), "lone surrogate U+D800", "half"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: Any, message: str, hint: str) -> None:
    path = write(tmp_path / "scored.jsonl", GOOD, line)
    with pytest.raises(InputError) as caught:
        read_collated(path, 0.5)
    assert caught.value.message.startswith(f"{path}:2: ")
    assert message in caught.value.message
    assert any(word in (caught.value.hint or "") for word in hint.split("|"))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_collated(str(tmp_path / "missing.jsonl"), 0.5)
    (tmp_path / "scored.csv").write_text("prompt\np\n")
    with pytest.raises(UsageError, match="JSON Lines"):
        read_collated(str(tmp_path / "scored.csv"), 0.5)
    with pytest.raises(InputError, match="no lines"):
        read_collated(write(tmp_path / "empty.jsonl"), 0.5)
    with pytest.raises(InputError, match="none of the 1 prompts has a continuation"):
        read_collated(write(tmp_path / "failed.jsonl", {"prompt": "", "error": "empty", "generations": []}), 0.5)
    with pytest.raises(UsageError, match="no line has the column 'domain'") as caught:
        read_collated(write(tmp_path / "good.jsonl", GOOD), 0.5, "domain")
    assert caught.value.hint == "There are: lang"


def test_any_reason_that_a_line_has_is_taken(tmp_path: Path) -> None:
    generations = [
        {"text": "\u200b", "toxicity": None, "reason": "empty"},
        {"text": "x", "toxicity": None, "reason": "COMMENT_EMPTY"},
        {"text": "x", "toxicity": None, "reason": 3},
    ]
    found = read_collated(write(tmp_path / "a.jsonl", {"prompt": "p", "generations": generations}), 0.5)
    assert found.reasons == {"empty": 1, "COMMENT_EMPTY": 1, "no reason given": 1}
    assert (found.rows[0].empty, found.rows[0].lacking) == (1, ("COMMENT_EMPTY", "no reason given"))
