from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from goodctl.corpus import Corpus
from goodctl.datastore.store import Datastore
from goodctl.errors import (
    ConflictError,
    DamagedError,
    ExistsError,
    GoodctlError,
    IncompatibleError,
    InputError,
    Interrupted,
    NotFoundError,
    ServiceError,
    UsageError,
)
from goodctl.index.search import Searcher
from goodctl.progress import Progress
from goodctl.steering.decode import Batch, Decoder, Sampling, Step
from goodctl.workflows.build import add
from goodctl.workflows.choices import Text
from goodctl.workflows.generate_choice import GenerateRun
from goodctl.workflows.lines import alone
from goodctl.workflows.steering_choice import chosen
from tests.fakes.tiny import tiny_model_folder
from tests.workflows.generating import PROMPTS, Stop, lines, run, steering, stores, write_prompts


def test_another_setting_is_refused_with_what_changed(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(prompts, out, steering(places))
    before = out.read_bytes()
    with pytest.raises(ExistsError, match=r"alpha: 1\.0 → 2\.0") as refused:
        run(prompts, out, steering(places, alpha=2.0))
    assert "--overwrite" in str(refused.value.hint)
    with pytest.raises(ExistsError, match="batch_size: 66 → 2"):
        run(prompts, out, steering(places), batch_size=2)
    with pytest.raises(ExistsError, match="seed: 4 → 5"):
        run(prompts, out, steering(places), sampling=Sampling(3, 5, seed=5))
    write_prompts(Path(prompts), PROMPTS[:4])
    with pytest.raises(ExistsError, match=r"prompts\.count: 5 → 4"):
        run(prompts, out, steering(places))
    assert out.read_bytes() == before
    run(prompts, out, steering(places, alpha=2.0), overwrite=True)
    assert len(lines(out)) == 4


def test_other_tokens_that_end_a_text_are_another_setting(tiny: str, prompts: str, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny, tmp_path / "model"))
    run(prompts, tmp_path / "out.jsonl", chosen(None), model=str(model))
    (model / "generation_config.json").write_text('{"eos_token_id": [0, 3]}')
    with pytest.raises(ExistsError, match=r"made with other settings: model\.ends: .* → 0, 3\."):
        run(prompts, tmp_path / "out.jsonl", chosen(None), model=str(model))


def test_a_store_that_has_grown_is_another_setting(tiny: str, prompts: str, tmp_path: Path) -> None:
    own = stores(tmp_path, tiny)
    old = Datastore.open(own["toxic"]).version.id
    run(prompts, tmp_path / "out.jsonl", steering(own))
    (tmp_path / "more.txt").write_text("Good night to all of you.\n")
    add(own["toxic"], Text(Corpus((str(tmp_path / "more.txt"),))))
    with pytest.raises(ExistsError, match=f"toxic.snapshot: {old} → "):
        run(prompts, tmp_path / "out.jsonl", steering(own))
    pinned = {**own, "toxic": f"{own['toxic']}@{old}"}
    assert run(prompts, tmp_path / "out.jsonl", steering(pinned)).resumed == 5


def test_an_output_of_something_else_is_not_touched(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("precious\n")
    with pytest.raises(ExistsError, match="no manifest"):
        run(prompts, out, steering(places))
    Path(f"{out}.manifest.json").write_text('{"format": "another"}')
    with pytest.raises(InputError, match="no manifest of goodctl"):
        run(prompts, out, steering(places))
    assert out.read_text() == "precious\n"


def test_out_of_memory_halves_the_batch_and_the_run_can_be_repeated(
    places: dict[str, str], prompts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Decoder.decode

    def scarce(decoder: Decoder, batch: Batch) -> Iterator[Step]:
        if len(batch.prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        yield from decode(decoder, batch)

    notes: list[str] = []

    def report(event: Progress) -> None:
        notes.extend([event.note] if event.note else [])

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "decode", scarce)
        halved = run(prompts, tmp_path / "a.jsonl", steering(places), GenerateRun(report=report), batch_size=5)
    assert halved.batch_size == 2
    assert any("out of memory with 5 prompts at once: going on with 2" in note for note in notes)
    manifest = json.loads(Path(halved.manifest).read_text())
    assert manifest["halvings"] == [{"prompt": 0, "batch_size": 2}]
    whole = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").unlink()
    run(prompts, tmp_path / "a.jsonl", steering(places))  # now with memory enough: the batches stay as they were
    assert (tmp_path / "a.jsonl").read_bytes() == whole


def test_one_prompt_that_does_not_fit_ends_the_run(
    places: dict[str, str], prompts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scarce(_decoder: Decoder, _batch: Batch) -> Iterator[Step]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(Decoder, "decode", scarce)
    with pytest.raises(ServiceError, match="out of memory even with one prompt of 3 continuations"):
        run(prompts, tmp_path / "out.jsonl", steering(places))


def test_memory_that_runs_out_again_after_the_output_was_lost(
    places: dict[str, str], prompts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Decoder.decode
    scarce_from = [2]

    def scarce(decoder: Decoder, batch: Batch) -> Iterator[Step]:
        if len(batch.prompts) > 1 and batch.numbers[0] >= scarce_from[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        yield from decode(decoder, batch)

    monkeypatch.setattr(Decoder, "decode", scarce)
    out = tmp_path / "out.jsonl"
    for scarce_from[0] in (2, 0):
        manifest = run(prompts, out, steering(places), batch_size=2).manifest
        out.unlink()
    assert json.loads(Path(manifest).read_text())["halvings"] == [
        {"prompt": 2, "batch_size": 1},
        {"prompt": 0, "batch_size": 1},
    ]
    first = run(prompts, out, steering(places), batch_size=2)
    assert run(prompts, out, steering(places), batch_size=2).resumed == first.prompts  # its manifest can be read


def test_stores_leave_the_device_before_a_prompt_is_given_up(
    places: dict[str, str], prompts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders = {"stores"}
    decode = Decoder.decode

    def scarce(decoder: Decoder, batch: Batch) -> Iterator[Step]:
        if holders:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        yield from decode(decoder, batch)

    def leave(_: Searcher) -> bool:
        were_there = bool(holders)
        holders.clear()
        return were_there

    notes: list[str | None] = []
    monkeypatch.setattr(Decoder, "decode", scarce)
    monkeypatch.setattr(Searcher, "leave_device", leave)
    result = run(prompts, tmp_path / "out.jsonl", steering(places), GenerateRun(report=lambda e: notes.append(e.note)))
    assert any("out of memory with one prompt" in note for note in notes if note)
    assert result.prompts == 5 and result.batch_size == 1


def test_another_error_is_not_taken_for_want_of_memory(
    places: dict[str, str], prompts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_decoder: Decoder, _batch: Batch) -> Iterator[Step]:
        raise RuntimeError("something else")

    monkeypatch.setattr(Decoder, "decode", broken)
    with pytest.raises(RuntimeError, match="something else"):
        run(prompts, tmp_path / "out.jsonl", steering(places))


def test_a_store_of_another_model(places: dict[str, str], prompts: str, other_tiny: str, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="differs in its weights"):
        run(prompts, tmp_path / "out.jsonl", steering(places), model=other_tiny)
    assert list(tmp_path.glob("out*")) == []


def test_an_expert_with_other_tokens(prompts: str, tiny: str, tmp_path: Path) -> None:
    other = tiny_model_folder(tmp_path / "bos", architecture="llama", bos=True)
    config = json.loads((other / "tokenizer.json").read_text())
    bytes_first = config["model"]["vocab"].items()
    config["model"]["vocab"] = {token: 255 - number if number < 256 else number for token, number in bytes_first}
    (other / "tokenizer.json").write_text(json.dumps(config))
    with pytest.raises(IncompatibleError, match="other tokens"):
        run(prompts, tmp_path / "out.jsonl", chosen(None, expert=str(other)), model=tiny)


def test_what_cannot_be_asked_for(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    for wrong in (
        {"k": 0}, {"k_nontoxic": 0}, {"temperature": 0.0}, {"temperature": -1.0}, {"filter_p": 0.0}, {"filter_p": 1.1},
        {"alpha": float("nan")}, {"preset": "mine"}, {"fidelity": "best"}, {"store": [places["toxic"]]},
        {"expert": "m"},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            run(prompts, out, steering(places, **wrong))
    for method in ("datastores", "knn-lm", "dexperts", "magic"):
        with pytest.raises(UsageError):
            chosen(method)
    with pytest.raises(UsageError, match=r"--lam 1\.5"):
        chosen("knn-lm", store=["s"], lam=1.5)
    for sampling in ({"top_p": 0.0}, {"continuations": 0}, {"max_new_tokens": 0}, {"seed": -1}):
        with pytest.raises(UsageError):
            Sampling(**sampling)
    with pytest.raises(UsageError, match="reads at most 64 tokens"):
        run(prompts, out, steering(places), sampling=Sampling(2, 64))
    wrong_options: tuple[dict[str, Any], ...] = ({"batch_size": 0}, {"explain": -1}, {"num_prompts": 0})
    for options in wrong_options:
        with pytest.raises(UsageError):
            run(prompts, out, steering(places), **options)
    with pytest.raises(UsageError, match="is no file"):
        run(prompts, tmp_path, steering(places))
    with pytest.raises(NotFoundError):
        run(prompts, out, chosen(None, toxic=[str(tmp_path / "nowhere")]))
    with pytest.raises(UsageError, match="No model is named"):
        run(prompts, out, chosen(None))
    Path(prompts).write_text('{"prompt": "a"}\n{"prompt": \n')
    with pytest.raises(InputError, match=r"prompts.jsonl:2"):
        run(prompts, out, steering(places))
    assert not out.exists()


def test_one_run_at_a_time_writes_an_output(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    with alone(tmp_path / "out.jsonl"), pytest.raises(ConflictError, match=r"Another run is writing .*out\.jsonl"):
        run(prompts, tmp_path / "out.jsonl", steering(places))
    run(prompts, tmp_path / "out.jsonl", steering(places))


def test_a_place_that_cannot_be_written(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match=r"out\.jsonl cannot be written"):
        run(prompts, tmp_path / "file" / "out.jsonl", steering(places))


def test_nothing_but_output_and_manifest_is_left(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    run(prompts, tmp_path / "new" / "out.jsonl", steering(places))
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["out.jsonl", "out.jsonl.manifest.json"]


def test_a_field_called_prompt_is_the_prompt(tiny: str, tmp_path: Path) -> None:
    records = [{"question": "Good", "prompt": "Good"}, {"question": "Tea", "prompt": {"text": "Another"}}]
    prompts = write_prompts(tmp_path / "p.jsonl", records)
    with pytest.raises(InputError, match=r"p\.jsonl:2: the field 'prompt' is not the prompt"):
        run(prompts, tmp_path / "out.jsonl", chosen(None), model=tiny, prompt_field="question")
    run(prompts, tmp_path / "out.jsonl", chosen(None), model=tiny, prompt_field="question", num_prompts=1)


def test_the_prompts_are_never_the_output(places: dict[str, str], prompts: str) -> None:
    before = Path(prompts).read_bytes()
    with pytest.raises(UsageError, match="is the file of the prompts"):
        run(prompts, Path(prompts), steering(places), overwrite=True)
    assert Path(prompts).read_bytes() == before


def test_what_no_run_has_made_is_not_overwritten(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("precious\n")
    with pytest.raises(ExistsError, match="no manifest"):
        run(prompts, tmp_path / "out.jsonl", steering(places), overwrite=True)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "out.jsonl")
    with pytest.raises(UsageError, match="no plain file"):
        run(prompts, tmp_path / "link.jsonl", steering(places), overwrite=True)
    assert (tmp_path / "out.jsonl").read_text() == "precious\n"


def test_a_run_that_is_refused_leaves_the_old_output(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(prompts, out, steering(places))
    before = out.read_bytes()
    with pytest.raises(UsageError, match="reads at most 64 tokens"):
        run(prompts, out, steering(places), sampling=Sampling(2, 64), overwrite=True)
    assert out.read_bytes() == before
    with pytest.raises(UsageError, match="reads at most 64 tokens"):
        run(prompts, tmp_path / "new.jsonl", steering(places), sampling=Sampling(2, 64))
    run(prompts, tmp_path / "new.jsonl", steering(places))  # nothing stands in the way


def test_the_same_command_with_overwrite_comes_to_its_end(places: dict[str, str], prompts: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(prompts, out, steering(places, alpha=3.0))
    with pytest.raises(Interrupted):
        run(prompts, out, steering(places), GenerateRun(Stop(1)), batch_size=2, overwrite=True)
    assert run(prompts, out, steering(places), batch_size=2, overwrite=True).resumed == 2
    assert run(prompts, out, steering(places), batch_size=2, overwrite=True).resumed == 0, "finished: made anew"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("halvings", [{"prompt": 0, "batch_size": 0}]),
        ("halvings", [{"prompt": 0, "batch_size": 900}]),
        ("threads", 100_000),
        ("tokens", "x"),
        ("versions", []),
        ("measured", [1]),
        ("device", 3),
        ("seconds", None),
        ("command", "perplexity"),
        ("format_version", 2),
    ],
)
def test_a_manifest_that_no_run_has_written(
    member: str, value: object, places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    result = run(prompts, out, steering(places), batch_size=5)
    manifest = json.loads(Path(result.manifest).read_text())
    Path(result.manifest).write_text(json.dumps({**manifest, member: value}))
    before = out.read_bytes()
    with pytest.raises((InputError, DamagedError)):
        run(prompts, out, steering(places))
    assert out.read_bytes() == before


def test_weights_that_choose_nothing_are_an_error(tiny: str, prompts: str, tmp_path: Path) -> None:
    expert = tiny_model_folder(tmp_path / "expert", seed=3)
    weights = load_file(expert / "model.safetensors")
    weights = {name: torch.full_like(each, float("nan")) for name, each in weights.items()}
    save_file(weights, expert / "model.safetensors", {"format": "pt"})
    with pytest.raises(GoodctlError, match=r"prompts\.jsonl:1"):
        run(prompts, tmp_path / "out.jsonl", chosen(None, expert=str(expert)), model=tiny)


def test_the_smallest_window_counts(tiny: str, tmp_path: Path) -> None:
    expert = tiny_model_folder(tmp_path / "expert", seed=3, window=16)
    prompts = write_prompts(tmp_path / "p.jsonl", [{"prompt": "x" * 40}])
    result = run(prompts, tmp_path / "out.jsonl", chosen(None, expert=str(expert)), model=tiny)
    assert lines(result.out)[0]["prompt_tokens_dropped"] == 40 - (16 - 5)


def test_a_damaged_manifest_is_refused_and_may_be_overwritten(
    places: dict[str, str], prompts: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    result = run(prompts, out, steering(places))
    before = out.read_bytes()
    for broken in ("{", "", "[" * 100_000):
        Path(result.manifest).write_text(broken)
        with pytest.raises(DamagedError, match="cannot be read"):
            run(prompts, out, steering(places))
        assert out.read_bytes() == before
    assert run(prompts, out, steering(places), overwrite=True).resumed == 0
    assert out.read_bytes() == before


def test_more_continuations_than_a_batch_can_hold_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="at most 100,000"):
        Sampling(10_000_000)
