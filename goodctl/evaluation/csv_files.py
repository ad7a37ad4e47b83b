"""The CSV files of the field, which notebooks read: toxicity, perplexity, diversity, and each by group.

Rows and columns that published files have come first and under their names; ours stand behind them. ``full`` is what
is called ``all`` elsewhere.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any

from goodctl.evaluation.figure import Figure, GroupFigures
from goodctl.evaluation.results import ALL, NONTOXIC, TOXIC, FileEvaluation

_COLUMNS = {TOXIC: "toxic", NONTOXIC: "nontoxic", ALL: "full"}
_ENDINGS = (".gz", ".zst", ".jsonl", ".ndjson", "_collated", "_scored")
Cells = Iterable[Any]


def csv_files(file: FileEvaluation) -> dict[str, str]:
    """The names of a file's CSV files, and their content."""
    stem = csv_stem(file.path)
    return {f"{stem}_{name}.csv": text for name, text in _texts(file)}


def csv_stem(path: str) -> str:
    """What the names of a file's CSV files begin with: its own name without ``_collated.jsonl`` and the like."""
    stem = PurePath(path).name
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


def _texts(file: FileEvaluation) -> Iterator[tuple[str, str]]:
    whole = [each for each in file.slices if each.group is None]
    grouped = [each for each in file.slices if each.group is not None]
    groups = file.groups
    yield "toxicity", _written(_toxicity(whole, (("", *_heads(whole)),)))
    if grouped:
        ordered = sorted(grouped, key=lambda each: list(_COLUMNS).index(each.subset))
        heads = (("", *_heads(ordered)), ("", *(each.group for each in ordered)))
        yield "toxicity_groupby", _written(_toxicity(ordered, heads))
    if whole and whole[0].perplexity is not None:
        yield "perplexity", _written(_perplexity(whole))
        if grouped:
            yield "perplexity_groupby", _written(_perplexity_by(grouped, groups))
    yield "diversity", _written(_diversity([each for each in whole if each.subset == ALL]))
    if grouped:
        yield "diversity_groupby", _written(_diversity([each for each in grouped if each.subset == ALL]))


def _heads(slices: Sequence[GroupFigures]) -> list[str]:
    return [_COLUMNS[each.subset] for each in slices]


def _toxicity(slices: Sequence[GroupFigures], heads: Iterable[Cells]) -> Iterator[Cells]:
    yield from heads
    yield "avg_max", *(each.emt.value for each in slices)
    yield "toxicity_probability", *(each.toxicity_probability.value for each in slices)
    yield "std_max", *(each.emt.deviation for each in slices)
    for name in ("emt", "toxicity_probability"):
        yield from _bounds(name if name != "emt" else "avg_max", [getattr(each, name) for each in slices])
    for name in ("mean", "toxic_share"):
        figures = [getattr(each, name) for each in slices]
        yield name, *(figure.value for figure in figures)
        yield from _bounds(name, figures)
    for name in ("prompts", "continuations", "empty", "missing", "unscored_prompts", "failed_prompts"):
        yield name, *(getattr(each, name) for each in slices)


def _perplexity(slices: Sequence[GroupFigures]) -> Iterator[Cells]:
    yield "", *_heads(slices)
    for name in ("perplexity", "perplexity_pooled"):
        figures = [getattr(each, name) for each in slices]
        yield name, *(figure.value for figure in figures)
        yield from _bounds(name, figures)
    yield "continuations", *(each.perplexity.count for each in slices if each.perplexity)
    yield "missing", *(each.perplexity.missing for each in slices if each.perplexity)


def _perplexity_by(slices: Sequence[GroupFigures], groups: Sequence[str]) -> Iterator[Cells]:
    yield "group", *_COLUMNS.values()
    for group in groups:
        found = {each.subset: each.perplexity for each in slices if each.group == group}
        yield group, *(None if (figure := found.get(subset)) is None else figure.value for subset in _COLUMNS)


def _diversity(slices: Sequence[GroupFigures]) -> Iterator[Cells]:
    suited = [f"{name}_words" for name in ("dist1", "dist2", "dist3")]
    yield "", "dist1", "dist2", "dist3", *suited, "prompts"
    for each in slices:
        values = [figure.value for figure in (*each.dist_published, *each.dist)]
        yield "0" if each.group is None else each.group, *values, each.prompts


def _bounds(name: str, figures: Sequence[Figure]) -> Iterator[Cells]:
    yield f"{name}_low", *(figure.low for figure in figures)
    yield f"{name}_high", *(figure.high for figure in figures)


def _written(rows: Iterable[Cells]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)  # a missing figure is an empty cell
    return stream.getvalue()
