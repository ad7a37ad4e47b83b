"""An output that others have changed is noticed, before anything is written and while it grows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.errors import ConflictError, ExistsError, GoodctlError, Interrupted, UsageError
from goodctl.progress import Progress
from goodctl.workflows.generate_choice import GenerateRun
from goodctl.workflows.growing import Extent, Growing, found_extent
from goodctl.workflows.lines import check_out
from tests.workflows.generating import Stop, lines, run, steering


def appended(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write('{"more": 1}\n')


def edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Good", b"Bood"))


def shorter_and_edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Good", b"G"))


def rotated(path: Path) -> None:
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*others, first]))


@pytest.mark.parametrize("change", [appended, edited, shorter_and_edited, rotated])
def test_a_finished_output_that_was_changed_is_refused(
    change: Callable[[Path], None], places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    run(prompts, out, steering(places))
    whole = out.read_bytes()
    change(out)
    changed = out.read_bytes()
    with pytest.raises(ExistsError, match="somebody has changed it"):
        run(prompts, out, steering(places))
    assert out.read_bytes() == changed
    run(prompts, out, steering(places), overwrite=True)
    assert out.read_bytes() == whole


def test_an_unfinished_output_that_was_changed_is_refused(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(Interrupted):
        run(prompts, out, steering(places), GenerateRun(Stop(2)), batch_size=2)
    edited(out)
    with pytest.raises(ExistsError, match="somebody has changed it"):
        run(prompts, out, steering(places), batch_size=2)


def test_what_an_interrupted_batch_left_counts_for_nothing(
    places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    run(prompts, tmp_path / "whole.jsonl", steering(places), batch_size=2)
    with pytest.raises(Interrupted):
        run(prompts, out, steering(places), GenerateRun(Stop(1)), batch_size=2)
    appended(out)  # a whole line, as of a kill between output and manifest
    assert run(prompts, out, steering(places), batch_size=2).resumed == 2
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_another_writer_is_noticed_before_the_next_batch(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    def meddle(event: Progress) -> None:
        if event.stage == "generating" and event.done == 3:
            appended(out)

    with pytest.raises(ConflictError, match=r"Something else has changed .*out\.jsonl"):
        run(prompts, out, steering(places), GenerateRun(report=meddle), batch_size=2)


def test_a_finished_output_may_be_read_only(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(prompts, out, steering(places))
    before = out.stat().st_mtime_ns
    out.chmod(0o444)
    assert run(prompts, out, steering(places)).resumed == 5
    assert out.stat().st_mtime_ns == before


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(batches=st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=3), max_size=5), data=st.data())
def test_a_file_cut_anywhere_is_found_up_to_its_last_whole_batch(
    batches: list[list[str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("growing") / "out.jsonl"
    growing = Growing(path)
    growing.begin(Extent())
    extents = [Extent(), *(growing.append([{"text": text} for text in batch]) for batch in batches)]
    known = data.draw(st.sampled_from(extents))  # what the last manifest says, which may be older than the file
    size = data.draw(st.integers(0, extents[-1].bytes))
    texts = [text for batch in batches for text in batch]
    if path.exists():
        path.write_bytes(path.read_bytes()[:size])
    found = found_extent(
        path,
        known,
        finished=False,
        batch_ends=[each.prompts for each in extents],
        belongs=lambda number, line: json.loads(line)["text"] == texts[number],
    )
    assert found == (known if size >= known.bytes else max((e for e in extents if e.bytes <= size), key=_prompts))
    again = Growing(path)
    again.begin(found)
    rest = texts[found.prompts :]
    again.append([{"text": text} for text in rest])
    assert again.extent == extents[-1]
    assert [line["text"] for line in (lines(path) if path.exists() else [])] == texts


def _prompts(extent: Extent) -> int:
    return extent.prompts


def test_names_that_files_cannot_have(tmp_path: Path) -> None:
    for out in ("", "a\0b", str(tmp_path), str(tmp_path / ("a" * 245)), str(tmp_path / ("a" * 300) / "b")):
        with pytest.raises(UsageError, match="--out"):
            check_out(out, Path(f"{out}.manifest.json"))
    check_out(str(tmp_path / "a"), tmp_path / "a.manifest.json")
    with pytest.raises(GoodctlError, match="--out"):
        run("missing.jsonl", tmp_path / ("ü" * 125), steering({"toxic": "a", "nontoxic": "b"}))
