"""``goodctl datastore``: log, diff, tag, branch, rollback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from goodctl.cli import options as o
from goodctl.cli.output import Output

if TYPE_CHECKING:  # loads the storage, which --help does not need
    from goodctl.datastore.names import Deleted, Name

Graph = Annotated[bool, typer.Option("--graph", help="All branches and tags, drawn.", rich_help_panel=o.OUTPUT)]
NewName = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Argument(metavar="[NAME]", help="Name for the version; without one all are listed.", show_default=False),
]
Delete = Annotated[bool, typer.Option("--delete", "-d", help="Delete it.")]
Before = Annotated[str, typer.Argument(metavar="A", help="Datastore, or a version of it.", show_default=False)]
After = Annotated[
    str,
    typer.Argument(metavar="B", help="Another one; what begins with @ is a version of the same.", show_default=False),
]
Reference = Annotated[
    str,
    typer.Argument(
        metavar="REF", help="The version to go back to: @~2, a tag, a snapshot id, @{2026-10-01}.", show_default=False
    ),
]


def log(store: o.StoreRef, graph: Graph = False, json: o.Json = False, quiet: o.Quiet = False) -> None:
    """List a datastore's versions, newest first, one line each."""
    from goodctl.cli import render_history
    from goodctl.datastore import history

    out = Output(as_json=json, quiet=quiet)
    entries = history.log_all(store) if graph else history.log(store)
    shown = render_history.drawn(entries) if graph else render_history.logged(entries)
    out.result({"versions": [entry.to_dict() for entry in entries]}, *shown)


def diff(before: Before, after: After, json: o.Json = False, quiet: o.Quiet = False) -> None:
    """Show what differs between two versions: rows, languages, sources, segments, codecs, settings."""
    from goodctl.cli import render_history
    from goodctl.datastore import diff as work

    out = Output(as_json=json, quiet=quiet)
    result = work.diff(before, after)
    out.result(result.to_dict(), *render_history.differing(result))


def tag(
    store: o.StoreRef, name: NewName = None, delete: Delete = False, json: o.Json = False, quiet: o.Quiet = False
) -> None:
    """Give a version a name that never moves; list the tags; delete one."""
    from goodctl.datastore import names

    ways = names.tags, names.create_tag, names.delete_tag
    _name(Output(as_json=json, quiet=quiet), ("tag", "tags"), ways, store, name, delete=delete)


def branch(
    store: o.StoreRef, name: NewName = None, delete: Delete = False, json: o.Json = False, quiet: o.Quiet = False
) -> None:
    """Begin a branch at a version; list the branches; delete one. STORE@BRANCH can be added to, as STORE can."""
    from goodctl.datastore import names

    ways = names.branches, names.create_branch, names.delete_branch
    _name(Output(as_json=json, quiet=quiet), ("branch", "branches"), ways, store, name, delete=delete)


def _name(
    out: Output,
    words: tuple[str, str],
    ways: tuple[Callable[[str], list[Name]], Callable[[str, str], Name], Callable[[str, str], Deleted]],
    store: str,
    name: str | None,
    *,
    delete: bool,
) -> None:
    """List, create or delete names of one kind; ``words`` are one and many of it."""
    from goodctl.cli import render_history
    from goodctl.errors import UsageError

    listed, create, remove = ways
    if name is not None and delete:
        gone = remove(store, name)
        out.result(gone.to_dict(), *render_history.deleted(store, gone))
    elif name is not None:
        made = create(store, name)
        out.result(made.to_dict(), *render_history.created(store, made))
    elif delete:
        raise UsageError(f"--delete: which {words[0]}?", hint=f"goodctl datastore {words[0]} {store} NAME --delete")
    else:
        found = listed(store)
        out.result({words[1]: [each.to_dict() for each in found]}, *render_history.named(found, words[0]))


def rollback(
    store: o.StoreBranch,
    reference: Reference,
    message: o.Message = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Make an earlier version's content the newest one's, as a new version: nothing is lost, and it can be undone."""
    from goodctl.cli import render_history
    from goodctl.datastore import rollback as work

    out = Output(as_json=json, quiet=quiet)
    result = work.rollback(store, reference, message=message)
    out.result(result.to_dict(), *render_history.rolled_back(result))
    out.next(f"goodctl datastore log {store}")


def register(app: typer.Typer) -> None:
    """Add the commands to ``goodctl datastore``."""
    app.command(epilog="Example: goodctl datastore log nontoxic --graph")(log)
    app.command(epilog="Example: goodctl datastore diff nontoxic@~1 nontoxic")(diff)
    app.command(epilog="Example: goodctl datastore tag nontoxic@~1 paper-v1")(tag)
    app.command(epilog="Example: goodctl datastore branch nontoxic trial")(branch)
    app.command(epilog="Example: goodctl datastore rollback nontoxic @~1")(rollback)
