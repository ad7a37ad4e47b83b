"""Options of ``score``, each written once."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import complete

SCORER = "Scorer"
TEXT = "Text"
RUN = "Run"

TextsFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="File of texts: generations, prompts, or any JSONL, JSON, CSV, TSV, TXT or Parquet file.",
        show_default=False,
    ),
]
Scorer = Annotated[
    str,
    typer.Option(
        "--scorer",
        "-s",
        help="perspective, hf:MODEL, profanity, route:FILE, or the name of an installed plug-in.",
        rich_help_panel=SCORER,
        show_default=False,
        autocompletion=complete.scorers,
    ),
]
Out = Annotated[
    str, typer.Option("--out", "-o", help="Output file, JSON Lines.", rich_help_panel=RUN, show_default=False)
]
Attributes = Annotated[
    str,
    typer.Option(
        "--attributes",
        help="What is scored, with commas, in any case.",
        rich_help_panel=SCORER,
        autocompletion=complete.attributes,
    ),
]
Rate = Annotated[
    Optional[float],  # noqa: UP045 - typer reads it
    typer.Option(
        "--rate",
        help="Queries a second at most, for a service; by default the service's own limit.",
        rich_help_panel=SCORER,
        show_default=False,
    ),
]
BaseUrl = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--base-url", help="Another address of a service.", rich_help_panel=SCORER, show_default=False),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=SCORER, autocompletion=complete.devices
    ),
]
BatchTokens = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--batch-tokens",
        help="Token budget of a model's batch; by default it fits the device.",
        rich_help_panel=SCORER,
        show_default=False,
    ),
]
LabelMap = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--label-map",
        help="JSON file that maps a classifier's labels to attributes.",
        rich_help_panel=SCORER,
        show_default=False,
    ),
]
Revision = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--revision", help="Branch, tag or commit of a hub id.", rich_help_panel=SCORER, show_default=False),
]
Calibration = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--calibration",
        help="File of maps that scores go through, from goodctl agree --fit.",
        rich_help_panel=SCORER,
        show_default=False,
    ),
]
TextField = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--text-field",
        help="Field of the text ('a.b' reaches inside); by default generations, else prompt, else text.",
        rich_help_panel=TEXT,
        show_default=False,
    ),
]
Language = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--language",
        "-l",
        help="Language of all texts; with --language-field, of those whose line says none.",
        rich_help_panel=TEXT,
        show_default=False,
    ),
]
LanguageField = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--language-field",
        help="Field of each line's language; by default language, else lang.",
        rich_help_panel=TEXT,
        show_default=False,
    ),
]
Emit = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--emit",
        help="perspective: also write each answer in Perspective's form, OUT.perspective.jsonl.",
        rich_help_panel=RUN,
        show_default=False,
        autocompletion=complete.emitted,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Discard an output of other settings, or answers of another scorer.", rich_help_panel=RUN
    ),
]
