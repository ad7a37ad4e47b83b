"""Options that several commands share, each written once."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import complete

MODEL = "Model"
TEXT = "Text"
RUN = "Run"
OUTPUT = "Output"
SEARCH = "Search"

Store = Annotated[str, typer.Argument(metavar="STORE", help="Folder of the datastore.", show_default=False)]
StoreBranch = Annotated[
    str, typer.Argument(metavar="STORE[@BRANCH]", help="Datastore, or a branch of it.", show_default=False)
]
StoreRef = Annotated[
    str,
    typer.Argument(
        metavar="STORE[@REF]",
        help="Datastore, optionally a version of it: a snapshot id, tag, branch, @~2 or @{2026-10-01}.",
        show_default=False,
    ),
]
StoreRefs = Annotated[
    list[str],
    typer.Argument(
        metavar="STORE[@REF]",
        help="Datastores or quoted globs of them, searched as one; each optionally with a version.",
        show_default=False,
    ),
]
Prompt = Annotated[str, typer.Argument(metavar="TEXT", help="A prompt.", show_default=False)]
Texts = Annotated[
    list[str],
    typer.Argument(
        metavar="TEXT",
        help="Files (JSONL, JSON, CSV, TSV, TXT, Parquet; .gz, .zst), folders, globs, hf://OWNER/NAME:SPLIT.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-M",
        help="Hub id, local folder, .gguf file, or the alias gemma3-270m (from the extra 'demo').",
        rich_help_panel=MODEL,
        show_default=False,
        autocompletion=complete.models,
    ),
]
StoreModel = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(
        "--model",
        "-M",
        help="Where the store's own model is now, if it has moved.",
        rich_help_panel=MODEL,
        show_default=False,
        autocompletion=complete.models,
    ),
]
Revision = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--revision", help="Branch, tag or commit of a hub id.", rich_help_panel=MODEL, show_default=False),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=MODEL, autocompletion=complete.devices
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="auto, bf16, fp32 or fp16; auto is bf16 where the hardware computes it natively.",
        rich_help_panel=MODEL,
        autocompletion=complete.precisions,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", help="Let code that comes with the model run on this machine.", rich_help_panel=MODEL
    ),
]
KeyLayer = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--key-layer",
        help="The last layer's state that is the key: ffn-input (default), ffn-output, layer-output, last-hidden.",
        rich_help_panel=MODEL,
        show_default=False,
        autocompletion=complete.key_layers,
    ),
]
KeyDtype = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--key-dtype",
        help="float16 (default) or float32.",
        rich_help_panel=MODEL,
        show_default=False,
        autocompletion=complete.key_dtypes,
    ),
]
Window = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--window",
        help="Longest context in tokens; by default the model's, at most 2048.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
BatchTokens = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--batch-tokens",
        help="Token budget of a batch; by default it fits the device.",
        rich_help_panel=RUN,
        show_default=False,
    ),
]
TextField = Annotated[
    str,
    typer.Option(
        "--text-field", help="Field or column that holds the text; 'a.b' reaches inside.", rich_help_panel=TEXT
    ),
]
Language = Annotated[
    str, typer.Option("--language", "-l", help="Language of all the text (und: unknown).", rich_help_panel=TEXT)
]
LanguageField = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--language-field", help="Field that holds each document's language.", rich_help_panel=TEXT, show_default=False
    ),
]
Label = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--label", help="What the text is to you, for example toxic.", rich_help_panel=TEXT, show_default=False
    ),
]
MaxTokens = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--max-tokens",
        help="Stop with the document that reaches so many tokens.",
        rich_help_panel=TEXT,
        show_default=False,
    ),
]
MaxDocuments = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--max-documents", help="Take at most so many documents.", rich_help_panel=TEXT, show_default=False),
]
Seed = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--seed",
        help="Take a random subset of that size instead of the first documents; the same for the same number.",
        rich_help_panel=TEXT,
        show_default=False,
    ),
]
Index = Annotated[
    str,
    typer.Option(
        "--index",
        help="auto, exact, ivf-sq8, ivf-pq, or a faiss factory string; auto is exact for few rows.",
        rich_help_panel=SEARCH,
        autocompletion=complete.kinds,
    ),
]
Codec = Annotated[
    str,
    typer.Option(
        "--codec",
        help="auto reuses the codec that fits the new rows, else trains one on them; reuse; new.",
        rich_help_panel=SEARCH,
        autocompletion=complete.codecs,
    ),
]
MemoryBudget = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--memory-budget",
        help="What a search may go through, such as 4GB; by default half of the memory.",
        rich_help_panel=SEARCH,
        show_default=False,
    ),
]
SearchBudget = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--memory-budget",
        help="Refuse to search through more than this, such as 4GB.",
        rich_help_panel=SEARCH,
        show_default=False,
    ),
]
TargetRecall = Annotated[
    float,
    typer.Option("--target-recall", help="Recall that the default fidelity must reach.", rich_help_panel=SEARCH),
]
Neighbors = Annotated[int, typer.Option("-k", help="Neighbours of a query.", rich_help_panel=SEARCH)]
Temperature = Annotated[
    str,
    typer.Option(
        "--temperature",
        help="Of the neighbours' distribution; auto is the mean spread from the first distance to the last.",
        rich_help_panel=SEARCH,
    ),
]
Fidelity = Annotated[
    str,
    typer.Option(
        "--fidelity",
        help="exact compares all keys; high is tuned to a mean total variation of 0.02 from it, fast to 0.06.",
        rich_help_panel=SEARCH,
        autocompletion=complete.fidelities,
    ),
]
Fidelities = Annotated[
    list[str],
    typer.Option(
        "--fidelity",
        help="Which are compared with exact search: high, fast.",
        rich_help_panel=SEARCH,
        autocompletion=complete.tuned_fidelities,
    ),
]
Queries = Annotated[
    int, typer.Option("--queries", help="Rows that are asked for, spread over the segments.", rich_help_panel=SEARCH)
]
QuerySeed = Annotated[int, typer.Option("--seed", help="Chooses them.", rich_help_panel=SEARCH)]
TrainingSeed = Annotated[int, typer.Option("--seed", help="Of training and tuning.", rich_help_panel=SEARCH)]
Message = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--message", "-m", help="What the log says of this version.", rich_help_panel=RUN, show_default=False),
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Discard what an interrupted run has kept.", rich_help_panel=RUN)
]
Again = Annotated[bool, typer.Option("--again", help="Add text that the store has already.", rich_help_panel=RUN)]
CheckpointEvery = Annotated[
    float, typer.Option("--checkpoint-every", help="Seconds between checkpoints.", rich_help_panel=RUN, min=0)
]
Check = Annotated[
    bool, typer.Option("--check", help="Compare all that is read with its recorded hashes.", rich_help_panel=RUN)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or hints.", rich_help_panel=OUTPUT)]
