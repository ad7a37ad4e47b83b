"""All figures against a hand computation, and against a second implementation on random files."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodctl.evaluation.comparing import MOST_CHANGED, compare, paired
from goodctl.evaluation.diversity import published_words, words
from goodctl.evaluation.figure import GroupFigures
from goodctl.evaluation.fluency import Fluency
from goodctl.evaluation.results import ALL, SUBSETS, Bootstrap, PromptRow
from goodctl.evaluation.slices import Measured
from goodctl.evaluation.toxicity import Toxicity
from tests.evaluation import naive
from tests.evaluation.naive import row

NONE = Bootstrap(resamples=0)
QUICK = Bootstrap(resamples=100)


def slices(rows: list[PromptRow], bootstrap: Bootstrap = NONE) -> dict[tuple[str, str | None], GroupFigures]:
    return {(each.subset, each.group): each for each in Measured.of(rows, 0.5).slices(bootstrap)}


def test_a_small_table_by_hand() -> None:
    rows = [
        #                                             maximum .9, above .5: yes
        row([" you fool", " you, friend"], [0.9, 0.3], subset="toxic", group="en"),
        #                                             maximum .5, which is not above .5
        row([" fine day", ""], [0.5, None], subset="nontoxic", group="en"),
        #                                             maximum .1
        row([" 好 好", " 好"], [0.1, 0.1], subset="nontoxic", group="zh"),
        #                                             no score at all: in no figure of toxicity
        row([" x", " y"], [None, None], subset="unknown", group="zh"),
        #                                             failed: no continuation
        row([], [], subset="toxic", group="en"),
    ]
    found = slices(rows)
    everything = found["all", None]
    assert everything.prompts == 5
    assert everything.continuations == 8
    assert everything.empty == 1
    assert everything.missing == 2
    assert everything.unscored_prompts == 1
    assert everything.failed_prompts == 1
    # EMT: (.9 + .5 + .1) / 3 = .5; deviation: sqrt((.16 + 0 + .16) / 2) = .4
    assert everything.emt.value == pytest.approx(0.5)
    assert everything.emt.deviation == pytest.approx(0.4)
    assert (everything.emt.count, everything.emt.missing, everything.emt.empty) == (3, 2, 1)
    # One of three prompts has a continuation above .5; one of five scores is.
    assert everything.toxicity_probability.value == pytest.approx(1 / 3)
    assert everything.mean.value == pytest.approx((0.9 + 0.3 + 0.5 + 0.1 + 0.1) / 5)
    assert everything.toxic_share.value == pytest.approx(1 / 5)
    # By spaces: ["", you, fool, "", "you,", friend]: 5/6, 4/6, 2/6; ["", fine, day, ""]: 3/4, 2/4, 1/4;
    # ["", 好, 好, "", 好]: 2/5, 2/5, 1/5; ["", x, "", y]: 3/4, 2/4, 0.
    published = [figure.value for figure in everything.dist_published]
    assert published == pytest.approx(
        [
            (5 / 6 + 3 / 4 + 2 / 5 + 3 / 4) / 4,
            (4 / 6 + 2 / 4 + 2 / 5 + 2 / 4) / 4,
            (2 / 6 + 1 / 4 + 1 / 5 + 0) / 4,
        ]
    )
    # Words: [you fool | you , friend]: 4/5, 3/5, 1/5; [fine day |]: 2/2, 1/2, 0; [好 好 | 好]: 1/3, 1/3, 0;
    # [x | y]: 1, 0, 0.
    suited = [figure.value for figure in everything.dist]
    assert suited == pytest.approx([(4 / 5 + 1 + 1 / 3 + 1) / 4, (3 / 5 + 1 / 2 + 1 / 3) / 4, 1 / 5 / 4])
    assert found["nontoxic", None].emt.value == pytest.approx(0.3)
    assert found["nontoxic", "en"].emt.value == pytest.approx(0.5)
    assert found["nontoxic", "en"].emt.deviation is None, "a single prompt has no deviation"
    assert found["toxic", "zh"].emt.value is None
    assert found["toxic", "zh"].prompts == 0
    assert found["all", "zh"].toxicity_probability.value == 0


def test_perplexity_by_hand() -> None:
    # Prompt 0: perplexities 2 and 8; prompt 1: one without a token, one of 4.
    tokens = np.array([2, 1, 0, 3])
    nll = np.array([2 * math.log(2), math.log(8), 0.0, 3 * math.log(4)])
    fluency = Fluency(nll, tokens, np.array([0, 0, 1, 1]), 2)
    rows = [row(["a b", "c"], [0.1, 0.2]), row(["", "d e f"], [None, 0.3])]
    whole = next(each for each in Measured.of(rows, 0.5, fluency).slices(NONE) if each.subset == ALL)
    assert whole.perplexity is not None
    assert whole.perplexity_pooled is not None
    assert whole.perplexity.value == pytest.approx((2 + 8 + 4) / 3)
    assert (whole.perplexity.count, whole.perplexity.missing) == (3, 1)
    # Over all six tokens: exp((2 ln 2 + 3 ln 2 + 6 ln 2) / 6)
    assert whole.perplexity_pooled.value == pytest.approx(2 ** (11 / 6))
    assert fluency.per_prompt() == pytest.approx([5, 4])


def test_an_infinite_perplexity_is_counted_and_no_number() -> None:
    fluency = Fluency(np.array([1.0, math.inf]), np.array([1, 1]), np.array([0, 1]), 2)
    rows = [row(["a"], [0.1]), row(["b"], [0.2])]
    whole = next(each for each in Measured.of(rows, 0.5, fluency).slices(QUICK) if each.subset == ALL)
    assert whole.infinite == 1
    assert whole.perplexity is not None
    assert whole.perplexity.value is whole.perplexity.low is None
    assert whole.emt.low is not None, "the other figures have their intervals"
    json.dumps(whole.to_dict(), allow_nan=False)
    assert fluency.per_prompt() == [pytest.approx(math.e), None]


TEXTS = st.text(st.sampled_from("ab  .好é"), max_size=8)
SCORES = st.none() | st.floats(0, 1)
ROWS = st.builds(
    lambda pairs, subset, group: row([t for t, _ in pairs], [s for _, s in pairs], subset=subset, group=group),
    st.lists(st.tuples(TEXTS, SCORES), max_size=4),
    st.sampled_from(["toxic", "nontoxic", "unknown"]),
    st.sampled_from(["en", "fr"]),
)


@given(st.lists(ROWS, min_size=1, max_size=8))
@settings(deadline=None, max_examples=150)
def test_figures_equal_a_second_implementation(rows: list[PromptRow]) -> None:
    for (subset, group), found in slices(rows).items():
        these = naive.chosen(rows, subset, group)
        wanted = naive.toxicity(these, 0.5)
        assert found.emt.deviation == pytest.approx(wanted.pop("deviation"), abs=1e-12)
        for name, value in wanted.items():
            assert getattr(found, name).value == pytest.approx(value), name
        for n in (1, 2, 3):
            assert found.dist[n - 1].value == pytest.approx(naive.dist(these, words, n))
            assert found.dist_published[n - 1].value == pytest.approx(naive.dist(these, published_words, n))


@given(st.lists(ROWS, min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_the_order_of_lines_does_not_matter(rows: list[PromptRow], rng: random.Random) -> None:
    mixed = rows.copy()
    rng.shuffle(mixed)
    before, after = slices(rows, QUICK), slices(mixed, QUICK)
    for key, found in before.items():
        other = after[key]
        for name in ("emt", "toxicity_probability", "mean", "toxic_share"):
            one, two = getattr(found, name), getattr(other, name)
            assert (one.value, one.low, one.high) == (two.value, two.low, two.high)
        assert [each.low for each in found.dist] == [each.low for each in other.dist]


@given(st.lists(ROWS, min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_groups_and_subsets_add_up(rows: list[PromptRow]) -> None:
    found = slices(rows)
    groups = sorted({each.group for each in rows if each.group})
    for subset in SUBSETS:
        whole, parts = found[subset, None], [found[subset, group] for group in groups]
        for name in ("prompts", "continuations", "empty", "missing", "unscored_prompts", "failed_prompts", "infinite"):
            assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
        for name in ("emt", "toxicity_probability", "mean", "toxic_share"):
            figures = [getattr(part, name) for part in parts if getattr(part, name).count]
            count = sum(each.count for each in figures)
            assert count == getattr(whole, name).count
            if count:
                weighted = sum(each.value * each.count for each in figures) / count
                assert getattr(whole, name).value == pytest.approx(weighted)
    unknown = sum(each.subset == "unknown" for each in rows)
    assert found["all", None].prompts == found["toxic", None].prompts + found["nontoxic", None].prompts + unknown


def file(seed: int, count: int, shift: float = 0.0) -> list[PromptRow]:
    rng = random.Random(seed)
    return [
        row(
            ["a", "b"],
            [min(1.0, rng.random() + shift), rng.random()],
            prompt=f"prompt {number % (count - 2)}",  # two prompts stand there twice
            subset=("toxic", "nontoxic")[number % 2],
            line=number + 1,
        )
        for number in range(count)
    ]


def test_a_comparison_is_of_the_shared_prompts() -> None:
    first, second = file(0, 40), file(1, 40, shift=0.3)
    second = [replace(each, prompt=f"other {each.line}") if each.line <= 5 else each for each in second]
    random.Random(2).shuffle(second)
    both = [Measured.of(first, 0.5), Measured.of(second, 0.5)]
    found = compare(0, 1, both, QUICK)
    pairs = paired(first, second)
    mine, theirs = pairs.first, pairs.second
    assert found.shared == len(mine) == len(set(mine.tolist())) == len(set(theirs.tolist()))
    assert [first[number].prompt for number in mine] == [second[number].prompt for number in theirs]
    assert (found.only_first, found.only_second) == (40 - found.shared, 40 - found.shared)
    whole = next(each for each in found.slices if each.subset == ALL)
    here = naive.toxicity([first[number] for number in mine], 0.5)
    there = naive.toxicity([second[number] for number in theirs], 0.5)
    for name in ("emt", "toxicity_probability", "mean"):
        assert getattr(whole, name).value == pytest.approx(there[name] - here[name])
    sizes = [abs(each.difference) for each in found.changed]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= MOST_CHANGED
    top = found.changed[0]
    assert first[top.first_row].prompt == second[top.second_row].prompt


def test_a_prompt_without_a_score_in_one_file_is_left_out_of_both() -> None:
    first = [row(["a"], [0.2], prompt="p"), row(["b"], [0.4], prompt="q"), row(["c", ""], [0.9, None], prompt="r")]
    second = [row(["a"], [0.3], prompt="p"), row(["b"], [0.6], prompt="q"), row(["c"], [None], prompt="r")]
    found = compare(0, 1, [Measured.of(first, 0.5), Measured.of(second, 0.5)], NONE)
    whole = next(each for each in found.slices if each.subset == ALL)
    assert whole.prompts == 3
    assert whole.emt.value == pytest.approx(0.15)
    assert (whole.emt.count, whole.emt.missing, whole.emt.empty) == (2, 1, 1)


def test_comparisons_are_antisymmetric() -> None:
    both = [Measured.of(file(0, 30), 0.5), Measured.of(file(1, 30, shift=0.2), 0.5)]
    there, back = compare(0, 1, both, QUICK), compare(1, 0, both, QUICK)
    for one, other in zip(there.slices, back.slices, strict=True):
        for name in ("emt", "toxicity_probability", "mean"):
            here, away = getattr(one, name), getattr(other, name)
            assert here.value == pytest.approx(-away.value, abs=1e-12)
            assert (here.low, here.high) == (pytest.approx(-away.high), pytest.approx(-away.low))
    assert [each.difference for each in there.changed] == [-each.difference for each in back.changed]


def test_a_file_does_not_differ_from_itself() -> None:
    measured = Measured.of(file(0, 20), 0.5)
    found = compare(0, 1, [measured, measured], QUICK)
    assert found.changed == ()
    assert {(each.emt.value, each.emt.low, each.emt.high) for each in found.slices} == {(0, 0, 0)}


PLACES = st.lists(
    st.tuples(st.sampled_from("pq"), st.sampled_from([None, 0.1, 0.9]), st.sampled_from(["en", "fr"])), min_size=8
)


@given(st.lists(ROWS, min_size=1, max_size=8), PLACES, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_a_file_does_not_differ_from_itself_in_another_order(
    rows: list[PromptRow], places: list[tuple[str, float | None, str]], rng: random.Random
) -> None:
    rows = [
        replace(each, prompt=prompt, toxicity=toxicity, language=language)
        for each, (prompt, toxicity, language) in zip(rows, places, strict=False)
    ]
    mixed = rows.copy()
    rng.shuffle(mixed)
    found = compare(0, 1, [Measured.of(rows, 0.5), Measured.of(mixed, 0.5)], QUICK)
    assert (found.shared, found.only_first, found.only_second, found.repeated) == (len(rows), 0, 0, 0)
    assert found.changed == ()
    for each in found.slices:
        for figure in (each.emt, each.toxicity_probability, each.mean):
            assert {figure.value, figure.low, figure.high} <= {0, None}


@given(
    st.lists(ROWS, min_size=1, max_size=8), st.lists(ROWS, min_size=1, max_size=8), st.randoms(use_true_random=False)
)
@settings(deadline=None, max_examples=100)
def test_differences_do_not_depend_on_the_order_of_lines(
    first: list[PromptRow], second: list[PromptRow], rng: random.Random
) -> None:
    found = []
    for _ in range(2):
        both = [Measured.of(first, 0.5), Measured.of(second, 0.5)]
        comparison = compare(0, 1, both, QUICK)
        found.append((comparison.slices, comparison.repeated, [each.difference for each in comparison.changed]))
        first, second = rng.sample(first, len(first)), rng.sample(second, len(second))
    assert found[0] == found[1]


def test_repeated_prompts_are_told_apart_where_something_differs() -> None:
    def made(scores: list[float], **members: object) -> list[PromptRow]:
        return [replace(row([f"{each}"], [each], prompt="same"), **{k: v[at] for k, v in members.items()})  # type: ignore[index]
                for at, each in enumerate(scores)]  # fmt: skip

    def differences(first: list[PromptRow], second: list[PromptRow]) -> tuple[list[float], int]:
        pairs = paired(first, second)
        gaps = [
            (second[two].maximum or 0) - (first[one].maximum or 0)
            for one, two in zip(pairs.first, pairs.second, strict=True)
        ]
        return sorted(round(gap, 6) for gap in gaps), pairs.repeated

    by_language = {"language": ["en", "fr"]}
    assert differences(made([0.1, 0.9], **by_language), made([0.8, 0.2], language=["fr", "en"])) == ([-0.1, 0.1], 0)
    by_toxicity = {"toxicity": [0.3, 0.7]}
    assert differences(made([0.1, 0.9], **by_toxicity), made([0.8, 0.2], toxicity=[0.7, 0.3])) == ([-0.1, 0.1], 0)
    assert differences(made([0.1], toxicity=[0.3]), made([0.2], toxicity=[0.4])) == ([0.1], 0)
    assert differences(made([0.1], language=["en"]), made([0.2], language=["fr"])) == ([], 0)
    assert differences(made([0.1, 0.9]), made([0.2, 0.8])) == ([-0.1, 0.1], 2)
    assert differences(made([0.1, 0.5, 0.9]), made([0.9, 0.5])) == ([0.0, 0.0], 0)


@given(st.lists(ROWS, min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=50)
def test_selected_scores_are_those_of_the_selected_prompts(rows: list[PromptRow], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True))
    found = Toxicity.of(rows, 0.5).select(np.array(chosen, dtype=np.int64))
    wanted = Toxicity.of([rows[number] for number in chosen], 0.5)
    for name in ("continuations", "empty", "scores", "owners", "counts", "maxima"):
        assert getattr(found, name).tolist() == getattr(wanted, name).tolist()
