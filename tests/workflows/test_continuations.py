"""Where the tokens of a continuation begin, with tokenizers that merge, put spaces, or begin texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from goodctl.errors import InputError
from goodctl.models.load import LoadedModel
from goodctl.models.source import ModelSource
from goodctl.workflows.continuations import Continuation, Splitter
from tests.fakes.tiny import BOS_ID, tiny_model, tiny_tokenizer


def loaded(tokenizer: Any, *, window: int | None = 64, bos: int | None = None) -> LoadedModel:
    model = tiny_model(window=64)
    model.config.bos_token_id = bos
    return LoadedModel(model, tokenizer, ModelSource("tiny", Path()), torch.device("cpu"), "fp32", 258, window)


def merging(*, spaces: bool = False) -> Any:
    """Characters as tokens, with the merge ``un`` and ``unh``; with ``▁`` before every text if asked."""
    letters = ["▁", "a", "b", "c", "u", "n", "h", "\n", "un", "unh"]
    tokenizer = Tokenizer(models.BPE({each: number for number, each in enumerate(letters)}, [("u", "n"), ("un", "h")]))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    if spaces:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


LOSING_BREAKS = {
    "to spaces": normalizers.Replace("\n", " "),
    "squashed": normalizers.Sequence([normalizers.Replace("\n", " "), normalizers.Replace(Regex(" +"), " ")]),
    "stripped": normalizers.Sequence([normalizers.Replace("\n", " "), normalizers.Strip()]),
}
PIECES = "你好世界abc|0。"


def spacing(breaks: str, kind: str = "unigram", *, pieces: str = PIECES, scheme: str = "always") -> Any:
    """As SentencePiece: ``▁`` before every text, and no token for a line break."""
    more = ["你好", "▁你", "▁a", "|0"]
    listed = ["<unk>", "▁", *pieces, *(each for each in more if set(each) <= {*pieces, "▁"})]
    model = (
        models.Unigram([(each, -2.0 if len(each) > 1 else -3.0) for each in listed], 0)
        if kind == "unigram"
        else models.BPE(
            {each: number for number, each in enumerate(listed)},
            [(each[0], each[1]) for each in listed[1:] if len(each) == 2],
            unk_token="<unk>",
        )
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = LOSING_BREAKS[breaks]
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def split(model: LoadedModel, prompt: str, *texts: str) -> list[Continuation]:
    (found,) = Splitter(model).split([(prompt, texts)], ["f.jsonl:1"])
    return found


def shown(model: LoadedModel, each: Continuation) -> tuple[str, str]:
    tokenizer = model.tokenizer
    return (
        " ".join(tokenizer.convert_ids_to_tokens(list(each.prefix))),
        " ".join(tokenizer.convert_ids_to_tokens(list(each.tokens))),
    )


@pytest.mark.parametrize(
    ("spaces", "prompt", "text", "wanted"),
    [
        (False, "ab", "unc", ("a b", "un c")),  # a border stands at the prompt's end
        (False, "aun", "hc", ("a un", "h c")),  # the whole would be "a unh c": the parts apart
        (False, "au", "nc", ("a u", "n c")),
        (False, "ab", " c", ("a b", "▁ c")),
        (True, "ab", " c", ("▁ a b", "▁ c")),
        (True, "aun", "hc", ("▁ a un", "h c")),  # apart, and no space is put before what is inside a text
        (True, "aun", "h\nc", ("▁ a un", "h \n c")),
        (True, "", "ab", ("▁", "a b")),  # nothing stands before: the first token is given
    ],
)
def test_tokens_are_parted_where_the_prompt_ends(spaces: bool, prompt: str, text: str, wanted: tuple[str, str]) -> None:
    model = loaded(merging(spaces=spaces))
    (found,) = split(model, prompt, text)
    assert shown(model, found) == wanted


@pytest.mark.parametrize("breaks", LOSING_BREAKS)
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("scheme", ["always", "first"])
def test_no_space_comes_between_where_line_breaks_are_lost(breaks: str, kind: str, scheme: str) -> None:
    model = loaded(spacing(breaks, kind, scheme=scheme))
    for text, wanted in {"好世界": "好 世 界", "好 世": "好 ▁ 世"}.items():
        before, tokens = shown(model, split(model, "你", text)[0])
        assert before in {"▁你", "▁ 你"}
        assert tokens == wanted
    # Of what stands behind an anchor that would be merged, another anchor tells where it begins.
    assert shown(model, Continuation((1,), tuple(Splitter(model)._inside(["0a"])[0])))[1] == "0 a"
    # A space that the text has is kept, also where line breaks and spaces are one.
    assert shown(model, Continuation((1,), tuple(Splitter(model)._inside([" 世"])[0])))[1] == "▁ 世"


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_the_space_is_dropped_where_no_anchor_is_known(kind: str) -> None:
    model = loaded(spacing("stripped", kind, pieces="你好世界"))
    (found,) = split(model, "你", "好世界")
    assert shown(model, found)[1] == "好 世 界"
    inside = Splitter(model)._inside
    assert [model.tokenizer.convert_ids_to_tokens(each) for each in inside(["你世", "▁你", ""])] == [
        ["你", "世"],
        ["▁你"],
        [],
    ]


def test_a_token_that_begins_texts_stands_before_the_prompt_alone() -> None:
    model = loaded(tiny_tokenizer(bos=True), bos=BOS_ID)
    ids = model.tokenizer("ab", add_special_tokens=False)["input_ids"]
    assert split(model, "a", "b") == [Continuation((BOS_ID, ids[0]), (ids[1],))]
    assert split(model, "", "ab") == [Continuation((BOS_ID,), tuple(ids))]
    assert split(model, "a", "") == [Continuation((BOS_ID, ids[0]), ())]


def test_an_empty_prompt_takes_the_models_token_where_the_tokenizer_has_none() -> None:
    model = loaded(tiny_tokenizer(), bos=BOS_ID)
    assert split(model, "", "a")[0].prefix == (BOS_ID,)
    assert split(model, "b", "a")[0].prefix != (BOS_ID,)
    without = loaded(tiny_tokenizer())
    (found,) = split(without, "", "ab")
    assert (len(found.prefix), len(found.tokens)) == (1, 1)


def test_a_long_prompt_is_cut_at_its_beginning() -> None:
    model = loaded(tiny_tokenizer(bos=True), window=10, bos=BOS_ID)
    prompt = "abcdefghijkl"
    short, long = split(model, prompt, "x", "xyz")
    assert short.prefix == long.prefix, "all continuations of a prompt have the same before them"
    assert len(long.prefix) + len(long.tokens) - 1 == 10
    assert long.prefix[0] == BOS_ID
    assert model.tokenizer.decode(list(long.prefix[1:])) == prompt[-7:]
    assert long.dropped == 5
    assert split(model, "ab", "x")[0].dropped == 0
    with pytest.raises(InputError, match=r"f\.jsonl:1: a continuation has 11 tokens; tiny reads at most 10"):
        split(model, "a", "x" * 11)


def test_white_space_alone_is_no_text() -> None:
    model = loaded(tiny_tokenizer(), window=6, bos=BOS_ID)
    first, blank, second = split(model, "ab", "x", " \n\t\u3000" * 9, " y")
    assert (len(first.tokens), blank.tokens, len(second.tokens)) == (1, (), 2)
