"""The two shapes in which results are shown: names with values, and plain tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.table import Table


def facts() -> Table:
    """Names and values, one pair a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    return table


def plain_table(title: str | None, columns: Sequence[str], left: Collection[str]) -> Table:
    """A table without lines; numbers stand right, the columns of ``left`` left."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 2, 0, 0)
    )
    for name in columns:
        text = name in left
        # Where the terminal is narrow, text goes on in the next line; it neither vanishes nor loses its end.
        table.add_column(
            name,
            justify="left" if text else "right",
            no_wrap=not text,
            overflow="fold" if text else "ellipsis",
            min_width=len(name) if text else None,
        )
    return table
