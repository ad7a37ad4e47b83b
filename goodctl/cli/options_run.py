"""Options of ``goodctl run``, and where their values come from: the command line, a file of settings, a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from goodctl.cli import complete
from goodctl.cli import options_score as s
from goodctl.errors import InputError, UsageError

if TYPE_CHECKING:
    from goodctl.workflows.run_manifest import RunManifest
    from goodctl.workflows.run_settings import RunSettings

RUN = "Run"
_TEXTS = {"temperature", "batch_size", "max_missing", "attributes"}
"""Settings that the command line takes as text."""


def _from_config(context: typer.Context, path: str | None) -> str | None:
    """Take what a file of settings says in place of the options' defaults."""
    if path is not None:
        from goodctl.workflows.run_config import read_config

        _take(context, read_config(path), "--config")
    return path


def _from_manifest(context: typer.Context, path: str | None) -> str | None:
    """Take the settings of an earlier run, and its folder, in place of the options' defaults."""
    if path is not None:
        from goodctl.workflows.run_manifest import RunManifest

        try:
            settings = RunManifest.read(Path(path)).settings.tables()
        except InputError as error:
            raise InputError(error.message, hint="Name the manifest of a run: --from FOLDER/manifest.json") from error
        flat = {name: value for table in settings.values() for name, value in table.items()}
        _take(context, {**flat, "out": str(Path(path).parent)}, "--from")
    return path


def _take(context: typer.Context, values: Mapping[str, Any], option: str) -> None:
    if context.default_map:
        raise UsageError("--config and --from both say the settings.", hint="Give one of them.")
    joined = {name: ",".join(value) if name == "attributes" else value for name, value in values.items()}
    context.default_map = {name: str(value) if name in _TEXTS else value for name, value in joined.items()}
    context.meta["goodctl.settings"] = option


Prompts = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Argument(
        metavar="PROMPTS",
        help="File of prompts: JSONL, JSON, CSV, TSV, TXT or Parquet; all columns come along.",
        show_default=False,
    ),
]
Out = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--out", "-o", help="Folder of the run.", rich_help_panel=RUN, show_default=False),
]
Scorer = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--scorer",
        "-s",
        help="perspective, hf:MODEL, profanity, route:FILE, or the name of an installed plug-in.",
        rich_help_panel=s.SCORER,
        show_default=False,
        autocompletion=complete.scorers,
    ),
]
WithBase = Annotated[
    bool,
    typer.Option(
        "--with-base", help="Also run the unsteered model on the same prompts, and compare.", rich_help_panel=RUN
    ),
]
Page = Annotated[bool, typer.Option("--page/--no-page", help="Write report.html, too.", rich_help_panel=RUN)]
Config = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--config",
        help="TOML file of settings; options go before it.",
        rich_help_panel=RUN,
        show_default=False,
        callback=_from_config,
        is_eager=True,
    ),
]
From = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--from",
        help="manifest.json of an earlier run: go on with it, or repeat it in another --out.",
        rich_help_panel=RUN,
        show_default=False,
        callback=_from_manifest,
        is_eager=True,
    ),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print the settings as a TOML file, and stop.", rich_help_panel=RUN)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Make anew what other settings concern.", rich_help_panel=RUN)
]
ScorerRevision = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--scorer-revision",
        help="Branch, tag or commit of an hf: scorer.",
        rich_help_panel=s.SCORER,
        show_default=False,
    ),
]


def settings_of(context: typer.Context) -> RunSettings:
    """The settings that a command line comes to, with what its file says.

    Raises:
        UsageError: A value is none.
    """
    from goodctl.cli.writing import given
    from goodctl.scoring.attributes import parse_attributes
    from goodctl.workflows import parsing
    from goodctl.workflows import run_settings as work

    values = {name: context.params[name] for name in work.RunSettings.__dataclass_fields__}
    values["prompts"], values["scorer"] = values["prompts"] or "", values["scorer"] or ""
    values |= {side: tuple(values[side] or ()) for side in work.STORES}
    values["temperature"] = parsing.temperature(values["temperature"])
    values["batch_size"] = parsing.count(values["batch_size"], "--batch-size")
    values["max_missing"] = parsing.share(values["max_missing"], "--max-missing")
    values["attributes"] = parse_attributes(values["attributes"])
    settings = work.settings_of(values)
    if _source(context) != "--from":  # a manifest holds all settings, those without effect, too
        settings.steering().check_effects(given(context, in_file=True))
    return settings


def comments(context: typer.Context) -> dict[str, str]:
    """What each setting means, as the options' help says it."""
    return {each.name: str(getattr(each, "help", "")) for each in context.command.params if each.name}


def repeated(context: typer.Context) -> RunManifest | None:
    """The run that is repeated: an earlier one, in another folder than its own."""
    path, out = context.params["from_manifest"], context.params["out"]
    if path is None or Path(path).parent.resolve() == Path(out).resolve():
        return None
    from goodctl.workflows.run_manifest import RunManifest

    return RunManifest.read(Path(path))


def _source(context: typer.Context) -> str | None:
    source: str | None = context.meta.get("goodctl.settings")
    return source
