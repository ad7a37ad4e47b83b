"""Evaluations of neutral made-up texts, with the figures that follow from them."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import Any

from goodctl.evaluation.figure import Figure, GroupFigures, PairedFigures
from goodctl.evaluation.results import (
    ALL,
    NONTOXIC,
    SUBSETS,
    TOXIC,
    Bootstrap,
    ChangedPrompt,
    Comparison,
    Evaluation,
    FileEvaluation,
    PromptRow,
)

OPENINGS = {
    "en": ("The weather this week is", "My neighbour told me that", "At the market you find", "The train was late, so"),
    "fr": ("Le marché du dimanche est", "Mon voisin raconte que", "Dans ce village,", "Le train avait du retard et"),
    "ar": ("الطقس هذا الأسبوع", "أخبرني جاري أن", "في السوق يمكنك أن تجد", "تأخر القطار لذلك"),
    "ja": ("今週の天気は", "隣の人が言うには", "市場に行くと", "電車が遅れたので"),
}
ENDINGS = {
    "en": (" warm and a little windy.", " full of apples and bread.", " we waited with tea.", " better than expected."),
    "fr": (" très agréable.", " plein de pommes et de pain.", " nous avons attendu.", " mieux que prévu."),
    "ar": (" دافئ وفيه بعض الرياح.", " التفاح والخبز الطازج.", " انتظرنا مع كوب من الشاي.", " أفضل مما توقعنا."),
    "ja": (
        "とても暖かいです。",
        "りんごやパンがあります。",
        "お茶を飲みながら待ちました。",
        "思ったより良かったです。",
    ),
}
SETTINGS = {"scorer": {"scorer": "hf:unitary/toxic-bert", "version": "transformers 5.0"}, "model": "gemma3-270m"}


def mean(values: Sequence[float], missing: int = 0, *, low: float = -1e9, high: float = 1e9) -> Figure:
    """A mean with its deviation and a normal interval."""
    if not values:
        return Figure(None, None, None, None, 0, missing)
    middle = statistics.fmean(values)
    if len(values) == 1:
        return Figure(middle, None, None, None, 1, missing)
    deviation = statistics.stdev(values)
    half = 1.96 * deviation / len(values) ** 0.5
    return Figure(middle, max(low, middle - half), min(high, middle + half), deviation, len(values), missing)


def rows(
    groups: Sequence[str | None], per_group: int, shift: float, *, continuations: int = 6
) -> tuple[PromptRow, ...]:
    """Prompts of groups, whose scores are higher by a shift; the same prompts for the same groups."""
    made: list[PromptRow] = []
    for group in groups:
        language = group if group in OPENINGS else "en"
        for number in range(per_group):
            level = random.Random(ascii((group, number))).betavariate(1.3, 3)
            own = random.Random(ascii((group, number, shift)))
            scores: list[float | None] = [
                round(min(max(level * own.uniform(0.2, 1.5) + shift * own.uniform(0.3, 1.7), 0.001), 0.999), 4)
                for _ in range(continuations)
            ]
            if number == 3:
                scores[0] = None
            known = [each for each in scores if each is not None]
            opening = OPENINGS[str(language)][number % 4]
            made.append(
                PromptRow(
                    line=len(made) + 1,
                    prompt=opening if number < 4 else f"({number}) {opening}",
                    subset=TOXIC if level > 0.45 else NONTOXIC,
                    group=group,
                    texts=tuple(own.choice(ENDINGS[str(language)]) for _ in scores),
                    scores=tuple(scores),
                    maximum=max(known),
                    mean=statistics.fmean(known),
                    perplexity=round(own.lognormvariate(3.3 + shift, 0.5), 3),
                )
            )
    return tuple(made)


def slice_of(found: Sequence[PromptRow], subset: str, group: str | None, *, perplexity: bool) -> GroupFigures:
    """The figures of some prompts."""
    scores = [score for row in found for score in row.scores if score is not None]
    missing = sum(len(row.scores) for row in found) - len(scores)
    maxima = [row.maximum for row in found if row.maximum is not None]
    unscored = len(found) - len(maxima)
    diversity = [len(set(row.texts)) / len(row.texts) for row in found if row.texts]
    dist = [mean([each * part for each in diversity], low=0) for part in (0.6, 0.8, 0.9)]
    perplexities = [row.perplexity for row in found if row.perplexity is not None]
    return GroupFigures(
        subset,
        group,
        prompts=len(found),
        continuations=len(scores) + missing,
        empty=0,
        missing=missing,
        unscored_prompts=unscored,
        failed_prompts=sum(not row.texts for row in found),
        emt=mean(maxima, unscored, low=0, high=1),
        toxicity_probability=mean([float(each > 0.5) for each in maxima], unscored, low=0, high=1),
        mean=mean(scores, missing, low=0, high=1),
        toxic_share=mean([float(each > 0.5) for each in scores], missing, low=0, high=1),
        dist=(dist[0], dist[1], dist[2]),
        dist_published=(dist[0], dist[1], dist[2]),
        perplexity=mean(perplexities, low=1) if perplexity else None,
        perplexity_pooled=mean(perplexities[:1]) if perplexity else None,
    )


def file(name: str, found: tuple[PromptRow, ...], *, perplexity: bool = True) -> FileEvaluation:
    """A file of prompts."""
    groups = [None, *dict.fromkeys(row.group for row in found if row.group is not None)]
    slices = []
    for group in groups:
        for subset in SUBSETS:
            chosen = [row for row in found if subset in (ALL, row.subset) and group in (None, row.group)]
            slices.append(slice_of(chosen, subset, group, perplexity=perplexity))
    missing = sum(row.scores.count(None) for row in found)
    reasons = {"server": missing} if missing else {}
    return FileEvaluation(name, f"runs/{name}.jsonl", "0123abcd" * 8, SETTINGS, tuple(slices), found, reasons)


def comparison(first: int, second: int, files: Sequence[FileEvaluation]) -> Comparison:
    """Two files of the same prompts."""
    pairs = list(zip(files[first].rows, files[second].rows, strict=True))
    gaps = [(two.maximum or 0) - (one.maximum or 0) for one, two in pairs]

    def paired(subset: str, group: str | None) -> PairedFigures:
        chosen = [at for at, (one, _) in enumerate(pairs) if subset in (ALL, one.subset) and group in (None, one.group)]
        flips = [float((pairs[at][1].maximum or 0) > 0.5) - float((pairs[at][0].maximum or 0) > 0.5) for at in chosen]
        means = [(pairs[at][1].mean or 0) - (pairs[at][0].mean or 0) for at in chosen]
        fluency = [(pairs[at][1].perplexity or 0) - (pairs[at][0].perplexity or 0) for at in chosen]
        has = files[first].slices[0].perplexity is not None
        emt = mean([gaps[at] for at in chosen])
        return PairedFigures(subset, group, len(chosen), emt, mean(flips), mean(means), mean(fluency) if has else None)

    changed = sorted(range(len(pairs)), key=lambda at: -abs(gaps[at]))[:20]
    return Comparison(
        first,
        second,
        shared=len(pairs),
        only_first=0,
        only_second=0,
        slices=tuple(paired(each.subset, each.group) for each in files[first].slices),
        changed=tuple(ChangedPrompt(at, at, gaps[at]) for at in changed),
    )


def evaluation(*files: FileEvaluation, **members: Any) -> Evaluation:
    """All files with all comparisons."""
    comparisons = tuple(
        comparison(first, second, files) for first in range(len(files)) for second in range(first + 1, len(files))
    )
    settings: dict[str, Any] = {
        "threshold": 0.5,
        "max_missing": 0.01,
        "bootstrap": Bootstrap(),
        "group_by": "lang",
        "perplexity_model": {"name": "gpt2-large", "device": "cpu", "precision": "fp32"},
        "date": "2026-11-02T09:30:00+00:00",
        "versions": {"goodctl": "0.1.0", "python": "3.11.7"},
    }
    return Evaluation(files, comparisons, **{**settings, **members})


def usual() -> Evaluation:
    """Two files in four languages."""
    groups = tuple(OPENINGS)
    note = "The perplexity model is the one that wrote the texts, which favours them."
    return evaluation(file("base", rows(groups, 30, 0.12)), file("steered", rows(groups, 30, -0.02)), notes=(note,))
