"""Options of ``goodctl run``, and where their values come from: the command line, a file of settings, a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from goodctl.cli import complete
from goodctl.cli import options_score as s
from goodctl.errors import UsageError

if TYPE_CHECKING:
    from goodctl.workflows.run_manifest import RunManifest
    from goodctl.workflows.run_settings import RunSettings

RUN = "Run"

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
        "--with-base/--no-with-base",
        help="Also run the unsteered model on the same prompts, and compare.",
        rich_help_panel=RUN,
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
    ),
]
From = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--from",
        help="manifest.json of an earlier run, or its folder: go on with it, or repeat it in another --out.",
        rich_help_panel=RUN,
        show_default=False,
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
Check = Annotated[
    bool,
    typer.Option(
        "--check/--no-check",
        help="Compare all that is read of the stores with its recorded hashes.",
        rich_help_panel=RUN,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code/--no-trust-remote-code",
        help="Let code that comes with the model run on this machine.",
        rich_help_panel="Model",
    ),
]


@dataclass(frozen=True)
class Asked:
    """What a command line comes to, with what its file says.

    Attributes:
        settings: Of the run.
        out: Its folder, or an empty string.
        repeated: The manifest of the run that is repeated in another folder; None where none is.
    """

    settings: RunSettings
    out: str
    repeated: RunManifest | None

    def tables(self) -> dict[str, dict[str, Any]]:
        """The settings by table, with the folder, if one is named."""
        tables = self.settings.tables()
        return {**tables, "run": {**({"out": self.out} if self.out else {}), **tables["run"]}}


def asked(context: typer.Context) -> Asked:
    """What is asked for: what the command line says goes before a file of settings, or an earlier run's manifest.

    Raises:
        UsageError: A value is none, or has no effect.
        InputError: The file is none of settings, or no manifest.
        NotFoundError: There is no such file.
    """
    from goodctl.cli.writing import given
    from goodctl.workflows import run_settings as work
    from goodctl.workflows.effects import check_scorer_effects
    from goodctl.workflows.run_config import OUT, read_config

    config, manifest = context.params["config"], context.params["from_manifest"]
    if config is not None and manifest is not None:
        raise UsageError("--config and --from both say the settings.", hint="Give one of them.")
    typed = {name: _parsed(name, context.params[name]) for name in given(context) if name in {OUT, *_settings()}}
    in_file = {} if config is None else read_config(config)
    earlier = None if manifest is None else _earlier(manifest)
    before = work.RunSettings() if earlier is None else earlier.settings
    found = {**in_file, **typed}
    out = str(found.pop(OUT, "" if manifest is None else _folder(manifest)))
    settings = replace(before, **{name: _tuple(value) for name, value in found.items()})
    if manifest is not None:
        _check_trusted(settings, typed, manifest)
    # A manifest holds all settings, those without effect, too.
    settings.steering().check_effects(found)
    check_scorer_effects(settings.scorer, found.keys() - {"revision"})  # which is the model's here
    elsewhere = manifest is not None and _folder(manifest).resolve() != Path(out).resolve()
    return Asked(settings, out, earlier if elsewhere else None)


def _check_trusted(settings: RunSettings, typed: Mapping[str, Any], manifest: str) -> None:
    """A manifest may be somebody else's: where it would run code or send a key, it has to be said once more.

    Raises:
        UsageError: It was not.
    """
    if settings.trust_remote_code and "trust_remote_code" not in typed:
        raise UsageError(
            f"{manifest} asks to run code that comes with a model.",
            hint="If you trust that model, say it too: --trust-remote-code",
        )
    if settings.base_url is not None and "base_url" not in typed:
        raise UsageError(
            f"{manifest} asks to score at {settings.base_url}, where texts and the environment's key would be sent.",
            hint=f"If you trust that address, say it too: --base-url {settings.base_url}",
        )


def comments(context: typer.Context) -> dict[str, str]:
    """What each setting means, as the options' help says it."""
    helps = {each.name: getattr(each, "help", None) for each in context.command.params}
    return {name: text for name, text in helps.items() if name and text}


def _settings() -> Iterable[str]:
    from goodctl.workflows.run_settings import RunSettings

    return RunSettings.__dataclass_fields__


def _parsed(name: str, value: Any) -> Any:
    """An option's value as a setting."""
    from goodctl.scoring.attributes import parse_attributes
    from goodctl.workflows import parsing

    match name:
        case "temperature":
            return parsing.temperature(value)
        case "batch_size":
            return parsing.count(value, "--batch-size")
        case "max_missing":
            return parsing.share(value, "--max-missing")
        case "attributes":
            return parse_attributes(value)
    return value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _earlier(path: str) -> RunManifest:
    from goodctl.workflows.run_manifest import RunManifest

    return RunManifest.read(Path(path), "--from")


def _folder(manifest: str) -> Path:
    """The folder of a run whose manifest, or itself, is named."""
    path = Path(manifest)
    return path if path.is_dir() else path.parent
