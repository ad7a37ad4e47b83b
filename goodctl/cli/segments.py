"""``goodctl datastore``: merge, shard, remove, compact."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import complete
from goodctl.cli import options as o
from goodctl.cli.output import Output

Merged = Annotated[
    list[str],
    typer.Argument(
        metavar="[OUT] STORE[@REF]...",
        help="The new datastore and those to merge, or quoted globs; with --into only those to merge.",
        show_default=False,
    ),
]
Into = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(
        "--into", metavar="STORE[@BRANCH]", help="Add to this datastore, in one new version.", show_default=False
    ),
]
KeepDuplicates = Annotated[
    bool, typer.Option("--keep-duplicates", help="Copy segments too that the result has already.")
]
MergedCodec = Annotated[
    str,
    typer.Option(
        "--codec",
        help="auto: anew where a first codec fits, else its own is kept; keep: its own; reuse: always anew.",
        rich_help_panel=o.SEARCH,
        autocompletion=complete.merged_codecs,
    ),
]
Out = Annotated[str, typer.Argument(metavar="OUT", help="Folder for the shards.", show_default=False)]
Shards = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--shards", "-n", help="How many, of about as many rows each.", show_default=False),
]
By = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--by",
        help="Or one for each language, label or source.",
        show_default=False,
        autocompletion=complete.properties,
    ),
]
Languages = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--language", "-l", help="Documents of this language.", rich_help_panel=o.TEXT, show_default=False),
]
Labels = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--label", help="Documents with this label.", rich_help_panel=o.TEXT, show_default=False),
]
Sources = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--source",
        help="Documents of this source: its name or the end of it, or the beginning of its SHA-256.",
        rich_help_panel=o.TEXT,
        show_default=False,
    ),
]
Documents = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--document",
        metavar="SOURCE:LINE",
        help="A document, as neighbors shows it.",
        rich_help_panel=o.TEXT,
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.", rich_help_panel=o.RUN)]
Reorder = Annotated[
    bool,
    typer.Option("--reorder", help="First bring segments of a language and label together: rows change their numbers."),
]


def merge(
    stores: Merged,
    into: Into = None,
    keep_duplicates: KeepDuplicates = False,
    codec: MergedCodec = "auto",
    device: o.Device = "auto",
    check: o.Check = False,
    message: o.Message = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Merge datastores into a new one, or into one that is there: their segments are copied, no model runs.

    Segments that the result has already are skipped. Stopped at any moment, nothing has changed.
    """
    from goodctl.cli import render_segments, writing
    from goodctl.workflows import merge as work

    out = Output(as_json=json, quiet=quiet)
    choice = work.MergeChoice(keep_duplicates, codec, device, check, message)
    new, sources = (None, stores) if into else (stores[0], stores[1:])
    with writing.at_once(out) as report:
        result = work.merge(sources, out=new, into=into, choice=choice, report=report)
    out.result(result.to_dict(), *render_segments.merged(result))
    out.next(f"goodctl datastore inspect {result.store}")


def shard(
    store: o.StoreRef,
    folder: Out,
    shards: Shards = None,
    by: By = None,
    check: o.Check = False,
    message: o.Message = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Cut a datastore into several complete ones, which share its codecs; no document is divided.

    Stopped at any moment, the same command goes on with the shards that are missing.
    """
    from goodctl.cli import render_segments, writing
    from goodctl.datastore import sharding as work

    out = Output(as_json=json, quiet=quiet)
    with writing.at_once(out) as report:
        result = work.shard(store, folder, count=shards, by=by, message=message, check=check, report=report)
    out.result(result.to_dict(), *render_segments.sharded(result))
    out.next(f"goodctl datastore merge NEW {' '.join(each.store for each in result.shards[:3])}")


def remove(
    store: o.StoreBranch,
    language: Languages = None,
    label: Labels = None,
    source: Sources = None,
    document: Documents = None,
    dry_run: DryRun = False,
    message: o.Message = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Make a version of a datastore without some of its documents: a language, a label, a source, single ones.

    Options of different kinds narrow the choice, the same option again widens it. Earlier versions keep everything.
    """
    from goodctl.cli import render_segments, writing
    from goodctl.datastore import removal as work
    from goodctl.datastore.removal_plan import Removal

    out = Output(as_json=json, quiet=quiet)
    removal = Removal(tuple(language or ()), tuple(label or ()), tuple(source or ()), tuple(document or ()))
    with writing.at_once(out) as report:
        result = work.remove(store, removal, message=message, dry_run=dry_run, report=report)
    out.result(result.to_dict(), *render_segments.removed(result))
    out.next(f"goodctl datastore log {store}")


def compact(
    store: o.StoreBranch,
    reorder: Reorder = False,
    check: o.Check = False,
    message: o.Message = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Put small neighbouring segments of a datastore together, in one new version with the same rows.

    Neighbours fit where language, label, precision and codec are the same.
    """
    from goodctl.cli import render_segments, writing
    from goodctl.datastore import compaction as work

    out = Output(as_json=json, quiet=quiet)
    with writing.at_once(out) as report:
        result = work.compact(store, reorder=reorder, message=message, check=check, report=report)
    out.result(result.to_dict(), *render_segments.compacted(result))
    out.next(f"goodctl datastore inspect {store}")


def register(app: typer.Typer) -> None:
    """Add the commands to ``goodctl datastore``."""
    app.command(epilog="Example: goodctl datastore merge both nontoxic toxic@~1")(merge)
    app.command(epilog="Example: goodctl datastore shard nontoxic shards --by language")(shard)
    app.command(epilog="Example: goodctl datastore remove nontoxic --source french.csv")(remove)
    app.command(epilog="Example: goodctl datastore compact nontoxic")(compact)
