"""The report page: one HTML file that holds all it needs, for any browser, without a network."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from goodctl.errors import ServiceError
from goodctl.evaluation import plot_style, report_tables, report_texts
from goodctl.evaluation.plots import MOST_COMPARISONS, SLICE_NAMES, groups_of, number, plots, short_name
from goodctl.evaluation.results import Evaluation

_LONGEST_SETTING = 300
_MOST_SETTINGS = 200
_DEEPEST = 4
_MARKS = {
    "o": "M7 2a5 5 0 1 0 .01 0z",
    "s": "M2.5 2.5h9v9h-9z",
    "^": "M7 1.5 12.5 12h-11z",
    "D": "M7 1l6 6-6 6-6-6z",
    "v": "M7 12.5 12.5 2h-11z",
    "P": "M5 1h4v4h4v4H9v4H5V9H1V5h4z",
}


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write the page of an evaluation, in place of an older one.

    Args:
        evaluation: What was found.
        path: Of the page; its folder is there.

    Raises:
        MissingDependency: The plots need a package that is not installed.
        ServiceError: The disk does not take the page; an older one stays.
    """
    page = report_page(evaluation)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise ServiceError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose another --html, or make room there."
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def report_page(evaluation: Evaluation) -> str:
    """The page as text: the same for the same evaluation.

    Raises:
        MissingDependency: The plots need a package that is not installed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    drawn = plots(evaluation)
    environment = Environment(
        loader=PackageLoader("goodctl.evaluation", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = report_texts.shown
    environment.filters["plain"] = _plain
    environment.filters["number"] = number
    page = environment.get_template("report.html").render(
        evaluation=evaluation,
        title=", ".join(_plain(short_name(evaluation, place)) for place in range(len(evaluation.files))),
        files=[_file(evaluation, place) for place in range(len(evaluation.files))],
        plots=[(plot, Markup(plot.svg)) for plot in drawn],  # noqa: S704 - the plots' letters are escaped in them
        tables=report_tables.tables(evaluation),
        comparisons=[report_tables.differences(evaluation, each) for each in evaluation.comparisons],
        parts=report_texts.prompts(evaluation),
        groups=len(groups_of(evaluation)),
        shown_groups=len(report_tables.shown_groups(evaluation)),
        most_comparisons=MOST_COMPARISONS,
        slice_names=SLICE_NAMES,
        perplexity_model=list(_flat(evaluation.perplexity_model or {})),
    )
    # What is no text in any encoding, and is not shown as its code, has no place in a file.
    return page.encode("utf-8", "replace").decode("utf-8")


def _file(evaluation: Evaluation, place: int) -> dict[str, Any]:
    """What the page says about a file beside its figures."""
    file = evaluation.files[place]
    return {
        "name": short_name(evaluation, place),
        "path": file.path,
        "sha256": file.sha256,
        "series": place % plot_style.SERIES + 1,
        "mark": _MARKS[plot_style.MARKERS[plot_style.marker(place)]],
        "whole": file.slice(),
        "settings": list(_flat(file.settings)),
        "missing_reasons": file.missing_reasons,
    }


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names, dotted where they are inside others, and values as text."""
    found = list(_members("", values, 1))
    yield from found[:_MOST_SETTINGS]
    if len(found) > _MOST_SETTINGS:
        yield "…", f"{len(found) - _MOST_SETTINGS:,} more"


def _members(prefix: str, values: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        full = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            yield from _members(full, value, depth + 1)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            yield full, text if len(text) <= _LONGEST_SETTING else f"{text[:_LONGEST_SETTING]}…"


def _plain(text: str) -> str:
    """Text for attributes and the title, where there is no markup."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
