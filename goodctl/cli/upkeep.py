"""``goodctl datastore``: verify, gc."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import options as o
from goodctl.cli.output import Output

Deep = Annotated[
    bool, typer.Option("--deep", help="All versions, and all codes instead of a sample.", rich_help_panel=o.RUN)
]
KeepLast = Annotated[
    Optional[int],  # noqa: UP045 - typer reads it
    typer.Option("--keep-last", metavar="N", help="Drop versions before the N newest.", show_default=False),
]
OlderThan = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--older-than",
        metavar="AGE",
        help="Drop versions, and unfinished writes, older than this: 30d, 12h, 2w.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.", rich_help_panel=o.RUN)]


def verify(
    store: o.StoreRef, deep: Deep = False, device: o.Device = "auto", json: o.Json = False, quiet: o.Quiet = False
) -> None:
    """Check a datastore for damage: files, counts, hashes of all arrays, codes against keys; exit code 6 if there is.

    Nothing is changed. Says what is damaged and what remains good.
    """
    from goodctl.cli import render_upkeep
    from goodctl.cli.progress import drawn
    from goodctl.errors import DamagedError
    from goodctl.workflows.verify import verify as work

    out = Output(as_json=json, quiet=quiet)
    with drawn(out) as report:
        result = work(store, deep=deep, device=device, report=report)
    out.result(result.to_dict(), *render_upkeep.verified(result))
    if not result.is_good:
        raise typer.Exit(DamagedError.exit_code)


def gc(
    store: o.Store,
    keep_last: KeepLast = None,
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Free the space of what nothing leads to: deleted branches, killed writes, and versions that you drop.

    Without options no version is dropped; with both, those that both hold for. Newest versions of branches and tagged
    ones always stay. What is dropped cannot be brought back.
    """
    from goodctl.cli import render_upkeep
    from goodctl.datastore.collect import gc as work
    from goodctl.datastore.collect import parse_age

    out = Output(as_json=json, quiet=quiet)
    age = None if older_than is None else parse_age(older_than)
    result = work(store, keep_last=keep_last, older_than=age, dry_run=dry_run)
    out.result(result.to_dict(), *render_upkeep.collected(result))
    out.next(f"goodctl datastore log {store}")


def register(app: typer.Typer) -> None:
    """Add the commands to ``goodctl datastore``."""
    app.command(epilog="Example: goodctl datastore verify nontoxic --deep")(verify)
    app.command(epilog="Example: goodctl datastore gc nontoxic --keep-last 10 --older-than 30d --dry-run")(gc)
