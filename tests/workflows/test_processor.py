"""transformers' own ``generate``, steered, against decoding by hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LogitsProcessor

from goodctl.errors import GoodctlError, IncompatibleError, NotFoundError, UsageError
from goodctl.models.key_layer import capture, find_key_layer
from goodctl.steering.logits import nucleus_mask
from goodctl.steering.methods import Inputs
from goodctl.workflows.processor import SteeringProcessor
from goodctl.workflows.steering import prepare
from tests.fakes.tiny import tiny_model, tiny_model_folder, tiny_tokenizer
from tests.workflows.generating import base, steering, stores

TEXTS = ["Good ", "The guests of", "E"]
LENGTH = 10
SETTINGS: dict[str, Any] = {"k": 16, "alpha": 1.5, "filter_p": 0.8}
METHODS: dict[str, dict[str, Any]] = {
    "both": {},
    "toxic": {"nontoxic": ()},
    "nontoxic": {"toxic": ()},
    "knn-lm": {"method": "knn-lm", "lam": 0.6},
    "knn-lm-discourage": {"method": "knn-lm-discourage", "lam": 0.6},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> dict[str, str]:
    return stores(tmp_path_factory.mktemp("stores"), tiny)


@pytest.fixture(scope="module")
def model(tiny: str) -> Any:
    loaded = AutoModelForCausalLM.from_pretrained(tiny).eval()
    endless(loaded)
    return loaded


def endless(model: Any) -> None:
    """No token ends a text, so that lengths are known."""
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = None, 0


def processor(model: Any, places: dict[str, str], **options: Any) -> SteeringProcessor:
    sides: dict[str, Any] = {"toxic": places["toxic"], "nontoxic": places["nontoxic"]}
    if str(options.get("method")).startswith("knn"):
        sides = {"store": places["nontoxic"]}
    return SteeringProcessor(model, **{**sides, **SETTINGS, **options})


def encoded(texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """Prompts of different lengths, padded on the left."""
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
    batch = tokenizer(list(texts), return_tensors="pt", padding=True)
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def generated(model: Any, used: LogitsProcessor, texts: Sequence[str] = TEXTS, **options: Any) -> list[list[int]]:
    """What ``generate`` appends."""
    inputs = encoded(texts)
    output = model.generate(**inputs, logits_processor=[used], max_new_tokens=LENGTH, **options)
    new: list[list[int]] = output[:, inputs["input_ids"].shape[1] :].tolist()
    return new


def ids_of(text: str) -> list[int]:
    ids: list[int] = tiny_tokenizer()(text)["input_ids"]
    return ids


class ByHand:
    """The steered distribution of one text, computed anew from its beginning."""

    def __init__(self, model: Any, places: dict[str, str], **options: Any) -> None:
        self.model = model
        self.layer = find_key_layer(model, "ffn-input")
        self.method = processor(model, places, **options)._method

    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[:, -1]
        return logits

    def log_probs(self, ids: Sequence[int]) -> torch.Tensor:
        """(V,)."""
        query = capture(self.model, self.layer, torch.tensor([ids]), None)[:, -1]
        return self.method.whole(Inputs(self.logits(ids), query))[0].log_softmax(0)

    def greedy(self, text: str) -> list[int]:
        ids = ids_of(text)
        for _ in range(LENGTH):
            ids.append(int(self.log_probs(ids).argmax()))
        return ids[-LENGTH:]

    def beams(self, text: str, count: int) -> list[tuple[float, list[int]]]:
        """The best texts of a search that keeps ``count``: each with its log probability, best first."""
        best = [(0.0, ids_of(text))]
        for _ in range(LENGTH):
            longer = []
            for score, ids in best:
                found, tokens = self.log_probs(ids).topk(count)
                longer += [(score + float(each), [*ids, int(token)]) for each, token in zip(found, tokens, strict=True)]
            best = sorted(longer, key=lambda each: -each[0])[:count]
        return [(score, ids[-LENGTH:]) for score, ids in best]


@pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)
def test_greedy_is_greedy_by_hand(model: Any, places: dict[str, str], options: dict[str, Any]) -> None:
    by_hand = ByHand(model, places, **options)
    expected = [by_hand.greedy(text) for text in TEXTS]
    with processor(model, places, **options) as used:
        assert generated(model, used, do_sample=False) == expected
        assert generated(model, used, do_sample=False, use_cache=False) == expected
        assert generated(model, used, [TEXTS[1]], do_sample=False) == [expected[1]]


def test_texts_end_where_they_would_by_hand(model: Any, places: dict[str, str]) -> None:
    """The others go on, steered as before."""
    by_hand = ByHand(model, places)
    whole = [by_hand.greedy(text) for text in TEXTS]
    end = whole[0][2]
    expected = [tokens[: tokens.index(end) + 1] if end in tokens else tokens for tokens in whole]
    with processor(model, places) as used:
        given = generated(model, used, do_sample=False, eos_token_id=end, pad_token_id=0)
    longest = max(map(len, expected))
    assert len({len(tokens) for tokens in expected}) > 1
    assert given == [[*tokens, *[0] * (longest - len(tokens))] for tokens in expected]


def test_it_steers(model: Any, places: dict[str, str]) -> None:
    with processor(model, places, alpha=20.0) as used:
        steered = generated(model, used, do_sample=False)
    assert steered != generated(model, Nothing(), do_sample=False)


class Nothing(LogitsProcessor):  # type: ignore[misc]
    """Leaves scores as they are."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores


class Watching(LogitsProcessor):  # type: ignore[misc]
    """Notes what another processor is given and gives."""

    def __init__(self, inner: LogitsProcessor) -> None:
        self.inner = inner
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        before = scores.clone()
        given: torch.Tensor = self.inner(input_ids, scores)
        torch.testing.assert_close(scores, before, rtol=0, atol=0)
        self.seen.append((input_ids.clone(), given))
        return given


MODES: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_p": 0.9, "top_k": 0, "num_return_sequences": 4},
    "beam search": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
    "beam sampling": {"do_sample": True, "num_beams": 3, "num_return_sequences": 2},
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("chunked", [False, True])
def test_every_row_of_every_step_is_the_texts_own(
    model: Any, places: dict[str, str], mode: dict[str, Any], chunked: bool
) -> None:
    """Whatever the order that beams are in, and whoever shares the batch."""
    torch.manual_seed(0)
    by_hand = ByHand(model, places)
    more: dict[str, Any] = {"prefill_chunk_size": 4} if chunked else {}
    with processor(model, places) as used:
        watching = Watching(used)
        generated(model, watching, **mode, **more)
    assert len(watching.seen) == LENGTH
    padding = {row: int((encoded(TEXTS)["attention_mask"][row] == 0).sum()) for row in range(3)}
    for ids, scores in watching.seen:
        rows_of_each = len(ids) // 3
        assert scores.dtype == torch.float32
        assert not bool(torch.isnan(scores).any())
        for row, own in enumerate(ids.tolist()):
            text = own[padding[row // rows_of_each] :]
            torch.testing.assert_close(scores[row], by_hand.log_probs(text), rtol=1e-3, atol=1e-3)


def test_sampling_stays_within_the_nucleus_of_the_model(model: Any, places: dict[str, str]) -> None:
    torch.manual_seed(1)
    by_hand = ByHand(model, places)
    with processor(model, places, filter_p=0.5) as used:
        texts = generated(model, used, do_sample=True, top_k=0, num_return_sequences=5)
    assert len({tuple(each) for each in texts}) == 15
    for number, tokens in enumerate(texts):
        ids = ids_of(TEXTS[number // 5])
        for token in tokens:
            assert bool(nucleus_mask(by_hand.logits(ids), 0.5 + 1e-4)[0, token])
            ids.append(token)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("options", [{}, {"method": "knn-lm-discourage", "lam": 0.6}], ids=["both", "discourage"])
def test_beam_search_is_beam_search_by_hand(
    model: Any, places: dict[str, str], count: int, options: dict[str, Any]
) -> None:
    by_hand = ByHand(model, places, **options)
    with processor(model, places, **options) as used:
        for text in TEXTS[:2]:
            found = by_hand.beams(text, count)
            assert found[0][0] - found[1][0] > 1e-4  # no question of rounding
            given = generated(
                model, used, [text], do_sample=False, num_beams=count, num_return_sequences=count, length_penalty=0.0
            )
            assert given == [tokens for _, tokens in found]
        assert generated(model, used, do_sample=False, num_beams=count)[:2] == [
            by_hand.beams(text, count)[0][1] for text in TEXTS[:2]
        ]


def test_beams_where_the_nucleus_leaves_no_choice(model: Any, places: dict[str, str]) -> None:
    torch.manual_seed(2)
    by_hand = ByHand(model, places, filter_p=1e-6)
    expected = [by_hand.greedy(text) for text in TEXTS]
    with processor(model, places, filter_p=1e-6) as used:
        assert generated(model, used, do_sample=False, num_beams=3) == expected
        assert generated(model, used, do_sample=True, num_beams=3) == expected
        assert generated(model, used, do_sample=True, num_return_sequences=1) == expected


def test_it_is_what_goodctl_generate_does(model: Any, tiny: str, places: dict[str, str]) -> None:
    """The same choice, temperature included."""
    with processor(model, places) as used:
        assert used.choice == prepare(steering(places, **SETTINGS), base(tiny)).choice
        assert used.choice.temperature is not None
    assert processor(model, places, temperature=7.0).choice.temperature == 7.0


def test_several_stores_and_paths(model: Any, places: dict[str, str]) -> None:
    """Names, paths and lists of them."""
    as_list = processor(model, places, toxic=[Path(places["toxic"])], nontoxic=(places["nontoxic"] + "@main",))
    with as_list as used:
        tokens = generated(model, used, do_sample=False)
    with processor(model, places) as used:
        assert generated(model, used, do_sample=False) == tokens
    assert processor(model, places, toxic=[places["toxic"], places["nontoxic"]], nontoxic=()).choice.toxic == (
        places["toxic"],
        places["nontoxic"],
    )


def test_two_models_at_a_time(model: Any, places: dict[str, str], tmp_path: Path, other_tiny: str) -> None:
    other = AutoModelForCausalLM.from_pretrained(other_tiny).eval()
    endless(other)
    others = stores(tmp_path, other_tiny)
    with processor(model, places) as first:
        alone = generated(model, first, do_sample=False)
    with processor(other, others) as second:
        other_alone = generated(other, second, do_sample=False)
    assert alone != other_alone
    with processor(model, places) as first, processor(other, others) as second:
        assert generated(model, first, do_sample=False) == alone
        assert generated(other, second, do_sample=False) == other_alone
        assert generated(model, first, do_sample=False) == alone


def test_two_processors_of_one_model(model: Any, places: dict[str, str]) -> None:
    with processor(model, places, alpha=20.0) as both, processor(model, places, alpha=-1.5) as away:
        forth, back = generated(model, both, do_sample=False), generated(model, away, do_sample=False)
    assert back == [ByHand(model, places, alpha=-1.5).greedy(text) for text in TEXTS]
    assert forth != back


def hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


class TestBlock:
    """The hook is there inside of the ``with`` block, and nowhere else."""

    def test_it_goes_at_the_end(self, model: Any, places: dict[str, str]) -> None:
        used = processor(model, places)
        assert hooks(model) == 0
        for _ in range(2):  # a processor may be used again
            with used:
                assert hooks(model) == 1
                generated(model, used, do_sample=False)
            assert hooks(model) == 0

    def test_it_goes_after_an_exception(self, model: Any, places: dict[str, str]) -> None:
        class Failing(Nothing):
            def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), processor(model, places) as used:
            model.generate(**encoded(TEXTS), logits_processor=[used, Failing()], max_new_tokens=3)
        assert hooks(model) == 0

    def test_outside_it_says_what_to_do(self, model: Any, places: dict[str, str]) -> None:
        used = processor(model, places)
        for _ in range(2):
            with pytest.raises(UsageError, match="inside of its with block only") as caught:
                generated(model, used)
            assert "with SteeringProcessor(model, …) as steering" in str(caught.value.hint)
            with used:
                generated(model, used)

    def test_not_twice_at_a_time(self, model: Any, places: dict[str, str]) -> None:
        with processor(model, places) as used:
            with pytest.raises(UsageError, match="in use already"), used:
                pass
            assert hooks(model) == 1
            generated(model, used)
        assert hooks(model) == 0


class TestScores:
    """What it is given may be odd; what it gives is a log probability or -inf."""

    def test_tokens_that_others_forbid_stay_forbidden(self, model: Any, places: dict[str, str]) -> None:
        with processor(model, places) as used:
            free = generated(model, used, do_sample=False)
            words = [[token] for token in sorted({each[0] for each in free})]
            bound = generated(model, used, do_sample=False, bad_words_ids=words)
        assert not {token for each in bound for token in each} & {word[0] for word in words}

    def test_rows_without_any_token(self, model: Any, places: dict[str, str]) -> None:
        inputs = encoded(TEXTS)
        with torch.no_grad(), processor(model, places) as used:
            scores = model(**inputs).logits[:, -1]
            expected = used(inputs["input_ids"], scores)
            model(**inputs)
            spoiled = scores.clone()
            spoiled[1] = -torch.inf
            given = used(inputs["input_ids"], spoiled)
            assert bool(given[1].isneginf().all())
            torch.testing.assert_close(given[[0, 2]], expected[[0, 2]], rtol=0, atol=0)
            model(**inputs)
            assert bool(used(inputs["input_ids"], torch.full_like(scores, -torch.inf)).isneginf().all())

    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_no_numbers(self, model: Any, places: dict[str, str], value: float) -> None:
        with torch.no_grad(), processor(model, places) as used:
            scores = model(**encoded(TEXTS)).logits[:, -1]
            scores[2, 5] = value
            with pytest.raises(GoodctlError, match="no numbers"):
                used(encoded(TEXTS)["input_ids"], scores)

    def test_a_loop_of_ones_own(self, places: dict[str, str], tiny: str) -> None:
        """Half precision, and gradients that nobody has switched off."""
        own = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.bfloat16).train(False)
        with processor(own, places) as used:
            scores = own(**encoded(TEXTS)).logits[:, -1]
            assert scores.requires_grad
            given = used(encoded(TEXTS)["input_ids"], scores)
        assert (given.dtype, given.requires_grad) == (torch.float32, False)
        torch.testing.assert_close(given.exp().sum(1), torch.ones(3))


class TestRefusals:
    """What cannot be right is refused, as far as it can be told."""

    @pytest.mark.parametrize("more", [{"prompt_lookup_num_tokens": 2}, {"assistant_model": "itself"}])
    def test_assisted_decoding(self, model: Any, places: dict[str, str], more: dict[str, Any]) -> None:
        more = {name: tiny_model(seed=0) if value == "itself" else value for name, value in more.items()}
        with pytest.raises(UsageError, match="without a forward pass"), processor(model, places) as used:
            generated(model, used, ["aaaaaaaaaa"], do_sample=False, **more)
        assert hooks(model) == 0

    def test_another_models_scores(self, model: Any, places: dict[str, str], other_tiny: str) -> None:
        other = AutoModelForCausalLM.from_pretrained(other_tiny)
        with pytest.raises(UsageError, match="without a forward pass"), processor(model, places) as used:
            generated(other, used)

    def test_stores_of_other_weights(self, places: dict[str, str], other_tiny: str) -> None:
        with pytest.raises(IncompatibleError, match="differs in its weights"):
            processor(AutoModelForCausalLM.from_pretrained(other_tiny), places)

    def test_weights_that_nobody_can_tell(self, places: dict[str, str], other_tiny: str, tmp_path: Path) -> None:
        """A model from nowhere, or from a folder that is gone, is taken for what its user says it is."""
        processor(tiny_model(seed=1), places)
        moved = shutil.copytree(other_tiny, tmp_path / "moved")
        other = AutoModelForCausalLM.from_pretrained(moved)
        (moved / "config.json").unlink()
        processor(other, places)
        shutil.rmtree(moved)
        processor(other, places)

    def test_the_tokenizer_may_lie_elsewhere(self, places: dict[str, str], tiny: str, tmp_path: Path) -> None:
        bare = shutil.copytree(tiny, tmp_path / "bare")
        for file in bare.glob("token*"):
            file.unlink()
        processor(AutoModelForCausalLM.from_pretrained(bare), places)

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ({"width": 32}, "keys of dimension 16; GPT2LMHeadModel has 258 and 32"),
            ({"architecture": "opt"}, "was made with a GPT2LMHeadModel; this is a OPTForCausalLM"),
        ],
    )
    def test_stores_of_another_shape(self, places: dict[str, str], shape: dict[str, Any], message: str) -> None:
        with pytest.raises(IncompatibleError, match=message):
            processor(tiny_model(**shape), places)

    def test_sides_of_different_models(
        self, model: Any, places: dict[str, str], tmp_path: Path, other_tiny: str
    ) -> None:
        with pytest.raises(IncompatibleError, match="their model differs"):
            processor(model, places, toxic=stores(tmp_path, other_tiny)["toxic"])

    def test_no_such_store(self, model: Any, places: dict[str, str], tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="nowhere"):
            processor(model, places, toxic=str(tmp_path / "nowhere"))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "No datastore is named"),
            ({"method": "base"}, "No datastore is named"),
            ({"method": "datastores"}, "needs --toxic or --nontoxic"),
            ({"method": "nosuch"}, "no method 'nosuch'"),
            ({"toxic": "s", "k": 0}, "-k 0"),
            ({"toxic": "s", "temperature": 0.0}, "--temperature 0.0"),
            ({"toxic": "s", "fidelity": "quick"}, "quick"),
            ({"toxic": "s", "store": "s"}, "has no use for --store"),
        ],
    )
    def test_settings_that_make_no_sense(self, model: Any, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            SteeringProcessor(model, **options)

    def test_experts(self, model: Any) -> None:
        with pytest.raises(UsageError) as caught:
            SteeringProcessor(model, method="dexperts")
        assert "goodctl generate" in str(caught.value.hint)


@pytest.mark.parametrize("architecture", ["opt", "falcon", "gemma3", "llama"])
def test_other_architectures(tmp_path: Path, architecture: str) -> None:
    folder = str(tiny_model_folder(tmp_path / "model", architecture=architecture, seed=2))
    own = AutoModelForCausalLM.from_pretrained(folder).eval()
    endless(own)
    places = stores(tmp_path, folder)
    by_hand = ByHand(own, places)
    with processor(own, places) as used:
        assert generated(own, used, do_sample=False) == [by_hand.greedy(text) for text in TEXTS]
        for text, tokens in zip(TEXTS, generated(own, used, do_sample=False, num_beams=3), strict=True):
            assert tokens == by_hand.beams(text, 3)[0][1]
