"""Options of ``goodctl evaluate``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import complete
from goodctl.cli.options import MODEL, OUTPUT

FIGURES = "Figures"

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Scored generations (JSONL, also .gz and .zst), as goodctl score writes them."),
]
GroupBy = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(
        "--group-by",
        help="Column whose values are evaluated apart, too, such as lang.",
        rich_help_panel=FIGURES,
        show_default=False,
    ),
]
Threshold = Annotated[
    float, typer.Option("--threshold", help="Prompts and texts above it are toxic.", rich_help_panel=FIGURES)
]
MaxMissing = Annotated[
    str,
    typer.Option("--max-missing", help="Share of scores that may be missing: 1% or 0.01.", rich_help_panel=FIGURES),
]
Resamples = Annotated[
    int,
    typer.Option(
        "--bootstrap", help="Resamples of the prompts for 95 % intervals; 0 for none.", rich_help_panel=FIGURES
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Of the resampling.", rich_help_panel=FIGURES)]
PerplexityModel = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--perplexity-model",
        help="Measures the perplexity of continuations; best larger than the model that wrote them.",
        rich_help_panel=MODEL,
        show_default=False,
        autocompletion=complete.models,
    ),
]
Csv = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--csv", help="Folder for *_toxicity.csv and its kin.", rich_help_panel=OUTPUT, show_default=False),
]
Html = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--html", help="Report page with plots, one file for any browser.", rich_help_panel=OUTPUT, show_default=False
    ),
]
