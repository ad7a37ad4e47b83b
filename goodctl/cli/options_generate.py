"""Options of ``generate`` and ``perplexity``, each written once."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import complete

STEERING = "Steering"
SAMPLING = "Sampling"
RUN = "Run"

PromptsFile = Annotated[
    str,
    typer.Argument(
        metavar="PROMPTS",
        help="File of prompts: JSONL, JSON, CSV, TSV, TXT or Parquet; all columns come along.",
        show_default=False,
    ),
]
Out = Annotated[
    str, typer.Option("--out", "-o", help="Output file, JSON Lines.", rich_help_panel=RUN, show_default=False)
]
BaseModel = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(
        "--model",
        "-M",
        help="Hub id, folder, .gguf file or alias; by default the one that the store was made with.",
        rich_help_panel="Model",
        show_default=False,
        autocompletion=complete.models,
    ),
]
Method = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--method",
        help="base, datastores, knn-lm, knn-lm-discourage, dexperts; by default what is named decides.",
        rich_help_panel=STEERING,
        show_default=False,
        autocompletion=complete.methods,
    ),
]
Toxic = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--toxic",
        help="Store to steer away from, STORE, STORE@REF or a quoted glob; several are searched as one.",
        rich_help_panel=STEERING,
        show_default=False,
    ),
]
Nontoxic = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--nontoxic", help="Store to steer towards.", rich_help_panel=STEERING, show_default=False),
]
KnnStore = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--store", help="Store of the kNN-LM methods.", rich_help_panel=STEERING, show_default=False),
]
Expert = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--expert",
        help="Model to steer towards.",
        rich_help_panel=STEERING,
        show_default=False,
        autocompletion=complete.models,
    ),
]
Antiexpert = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--antiexpert",
        help="Model to steer away from.",
        rich_help_panel=STEERING,
        show_default=False,
        autocompletion=complete.models,
    ),
]
Alpha = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--alpha",
        help="Strength of the ensemble; by default 1, or the preset's.",
        rich_help_panel=STEERING,
        show_default=False,
    ),
]
Lam = Annotated[float, typer.Option("--lam", help="Share of the neighbours in a kNN-LM.", rich_help_panel=STEERING)]
K = Annotated[int, typer.Option("--k", "-k", help="Neighbours of a query.", rich_help_panel=STEERING)]
KNontoxic = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--k-nontoxic", help="The same of the nontoxic side, if another.", rich_help_panel=STEERING, show_default=False
    ),
]
Temperature = Annotated[
    str,
    typer.Option(
        "--temperature",
        help="Of the neighbours, in squared distances; auto takes what the stores' own distances ask for.",
        rich_help_panel=STEERING,
    ),
]
FilterP = Annotated[
    float, typer.Option("--filter-p", help="Nucleus of the model that the ensemble keeps to.", rich_help_panel=STEERING)
]
Preset = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--preset",
        help="published: alpha 2, temperature 100 (English stores) or 200; other options go before it.",
        rich_help_panel=STEERING,
        show_default=False,
        autocompletion=complete.presets,
    ),
]
TopP = Annotated[float, typer.Option("--top-p", help="Nucleus that is sampled from.", rich_help_panel=SAMPLING)]
NumReturnSequences = Annotated[
    int, typer.Option("--num-return-sequences", "-n", help="Continuations of a prompt.", rich_help_panel=SAMPLING)
]
MaxNewTokens = Annotated[
    int, typer.Option("--max-new-tokens", help="Tokens of a continuation, at most.", rich_help_panel=SAMPLING)
]
Seed = Annotated[
    int, typer.Option("--seed", help="Of all random numbers; the same gives the same text.", rich_help_panel=SAMPLING)
]
NumPrompts = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--num-prompts", help="Only the first so many prompts.", rich_help_panel=RUN, show_default=False),
]
PromptField = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--prompt-field",
        help="Field of the prompt ('a.b' reaches inside); by default prompt, else text.",
        rich_help_panel=RUN,
        show_default=False,
    ),
]
BatchSize = Annotated[
    str,
    typer.Option(
        "--batch-size",
        help="Prompts at once; auto suits the device. Another one gives other bytes.",
        rich_help_panel=RUN,
    ),
]
Explain = Annotated[
    int,
    typer.Option(
        "--explain", help="Of the first N prompts, explain one continuation token by token.", rich_help_panel=RUN
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Discard an existing output.", rich_help_panel=RUN)]
