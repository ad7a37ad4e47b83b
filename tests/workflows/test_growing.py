"""An output that others have changed is noticed, before anything is written and while it grows."""

from __future__ import annotations

import contextlib
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


def shortened(path: Path) -> None:
    """In what was generated, and nowhere else."""
    found = lines(path)
    found[1]["generations"][0] = found[1]["generations"][0][:-2]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found), encoding="utf-8")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def rotated(path: Path) -> None:
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*others, first]))


@pytest.mark.parametrize("change", [appended, edited, shortened, torn, rotated])
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


def noted(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("precious note\n")


@pytest.mark.parametrize("change", [edited, shortened, torn, noted])
def test_an_unfinished_output_that_was_changed_is_refused_and_may_be_overwritten(
    change: Callable[[Path], None], places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    run(prompts, tmp_path / "whole.jsonl", steering(places), batch_size=2)
    out = tmp_path / "out.jsonl"
    with pytest.raises(Interrupted):
        run(prompts, out, steering(places), GenerateRun(Stop(2)), batch_size=2)
    change(out)
    changed = out.read_bytes()
    with pytest.raises(ExistsError, match="somebody has changed it"):
        run(prompts, out, steering(places), batch_size=2)
    assert out.read_bytes() == changed
    assert run(prompts, out, steering(places), batch_size=2, overwrite=True).resumed == 0
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_explanations_that_were_changed_or_are_gone(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out, explanations = tmp_path / "out.jsonl", tmp_path / "out.jsonl.explain.jsonl"
    for finished in (True, False):
        running = None if finished else GenerateRun(Stop(2))
        with contextlib.nullcontext() if finished else pytest.raises(Interrupted):
            run(prompts, out, steering(places), running, batch_size=2, explain=3, overwrite=True)
        whole = explanations.read_bytes()
        for change in (lambda: explanations.write_text("garbage\n"), explanations.unlink):
            explanations.write_bytes(whole)
            change()
            with pytest.raises(ExistsError, match=r"explain\.jsonl is (not what the run wrote|gone)"):
                run(prompts, out, steering(places), batch_size=2, explain=3)
        assert run(prompts, out, steering(places), batch_size=2, explain=3, overwrite=True).resumed == 0


def test_an_output_that_is_gone_is_made_again(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first = run(prompts, out, steering(places), batch_size=2, explain=2)
    whole, explained = out.read_bytes(), Path(str(first.explanations)).read_bytes()
    out.unlink()
    assert run(prompts, out, steering(places), explain=2).batch_size == 2
    assert (out.read_bytes(), Path(str(first.explanations)).read_bytes()) == (whole, explained)
    manifest = json.loads(Path(first.manifest).read_text())
    assert manifest["tokens"] == first.tokens  # not those of both runs


def test_what_an_interrupted_batch_left_is_computed_again(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    run(prompts, whole, steering(places), batch_size=2)
    manifest = Path(f"{out}.manifest.json")
    for left in (0, 1, 40):  # killed between output and manifest, within the next line, within the one after it
        with pytest.raises(Interrupted):
            run(prompts, out, steering(places), GenerateRun(Stop(1)), batch_size=2, overwrite=True)
        third = whole.read_bytes().splitlines(keepends=True)[2]
        out.write_bytes(out.read_bytes() + (third + third[:left] if left == 40 else third[: left or len(third)]))
        assert json.loads(manifest.read_text())["written"]["prompts"] == 2
        assert run(prompts, out, steering(places), batch_size=2).resumed == 2
        assert out.read_bytes() == whole.read_bytes()
        out.unlink()
        manifest.unlink()


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
def test_a_kill_anywhere_behind_what_is_known_costs_no_more_than_what_is_behind(
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

    def belongs(number: int, line: bytes) -> bool:
        return bool(line.endswith(b"\n") and json.loads(line)["text"] == texts[number])

    if size < known.bytes:
        with pytest.raises(ExistsError):
            found_extent(path, known, finished=False, belongs=belongs)
        return
    found = found_extent(path, known, finished=False, belongs=belongs)
    assert found == known
    again = Growing(path)
    again.begin(found)
    again.append([{"text": text} for text in texts[found.prompts :]])
    assert again.extent == extents[-1]
    assert [line["text"] for line in (lines(path) if path.exists() else [])] == texts


def test_names_that_files_cannot_have(tmp_path: Path) -> None:
    for out in ("", "a\0b", str(tmp_path), str(tmp_path / ("a" * 245)), str(tmp_path / ("a" * 300) / "b")):
        with pytest.raises(UsageError, match="--out"):
            check_out(out, Path(f"{out}.manifest.json"))
    check_out(str(tmp_path / "a"), tmp_path / "a.manifest.json")
    with pytest.raises(GoodctlError, match="--out"):
        run("missing.jsonl", tmp_path / ("ü" * 125), steering({"toxic": "a", "nontoxic": "b"}))
