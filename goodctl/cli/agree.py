"""``goodctl agree``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import complete
from goodctl.cli import options as o
from goodctl.cli.output import Output

MAP = "Map"

First = Annotated[
    str,
    typer.Argument(metavar="FILE_A", help="A file that goodctl score has written (.jsonl, .json).", show_default=False),
]
Second = Annotated[
    str, typer.Argument(metavar="FILE_B", help="The same texts, scored by another scorer.", show_default=False)
]
Attribute = Annotated[
    str,
    typer.Option(
        "--attribute", help="Whose scores are compared.", rich_help_panel=o.TEXT, autocompletion=complete.attribute
    ),
]
Threshold = Annotated[float, typer.Option("--threshold", help="Texts above it count as toxic.", rich_help_panel=o.TEXT)]
ScoredField = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(
        "--text-field",
        help="Field of the scored text; by default generations, else prompt, else text.",
        rich_help_panel=o.TEXT,
        show_default=False,
    ),
]
LanguageField = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--language-field",
        help="Field of a line's language; by default language, else lang.",
        rich_help_panel=o.TEXT,
        show_default=False,
    ),
]
Fit = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--fit",
        metavar="MAP",
        help="Write a map from A's scores to B's, for score --calibration.",
        rich_help_panel=MAP,
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a map that is there.", rich_help_panel=MAP)]


def agree(
    first: First,
    second: Second,
    attribute: Attribute = "toxicity",
    threshold: Threshold = 0.5,
    text_field: ScoredField = None,
    language_field: LanguageField = None,
    fit: Fit = None,
    overwrite: Overwrite = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Compare two scorers on the same texts: correlation, agreement at the threshold, differences, calibration.

    Each distinct text counts once. With --fit, a map from A's scores to B's is written too.
    """
    from goodctl.cli import render_agree
    from goodctl.cli.progress import drawn
    from goodctl.workflows import agree as work

    out = Output(as_json=json, quiet=quiet)
    choice = work.AgreeChoice(first, second, attribute, threshold, text_field, language_field, fit, overwrite)
    with drawn(out) as report:
        result = work.agree(choice, report)
    out.result(result.to_dict(), *render_agree.compared(result))
    for remark in render_agree.remarks(result):
        out.note(remark)


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(epilog="Example: goodctl agree local.scored.jsonl perspective.scored.jsonl --fit map.json")(agree)
