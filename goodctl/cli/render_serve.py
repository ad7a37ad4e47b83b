"""What ``serve`` says when it begins."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape

from goodctl.cli.output import Output, visible
from goodctl.cli.tables import facts
from goodctl.errors import Interrupted

if TYPE_CHECKING:
    from goodctl.serving.running import PerspectiveServer


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Take Ctrl-C while the server is not there yet."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("Stopped before anything was served.", hint="Run the same command again.") from None


def announce(out: Output, server: PerspectiveServer) -> None:
    """Print that the server answers, where, and how clients reach it."""
    out.result(server.to_dict(), *_started(server))
    _explain(out, server)
    sys.stdout.flush()  # whoever started it through a pipe waits for this


def _started(server: PerspectiveServer) -> Iterator[RenderableType]:
    yield f"[bold]{server.url}[/bold] answers as the Perspective API does"
    table = facts()
    identity = server.scorer.identity
    table.add_row("scorer", escape(visible(f"{identity.scorer} ({identity.version})")))
    offered = server.scorer.attributes_for(server.choice.language)
    known = ", ".join(name.upper() for name in offered) or "none without a language; they depend on the request's"
    table.add_row("attributes", escape(visible(known)))
    table.add_row("endpoint", "POST /v1alpha1/comments:analyze")
    table.add_row("watch it", "/healthz, /metrics")
    yield table


def _explain(out: Output, server: PerspectiveServer) -> None:
    if server.is_open:
        out.note(
            "warning: other machines can reach this server, and it takes any key or none; set GOODCTL_SERVE_KEY, or "
            "leave out --host"
        )
    out.note(
        f"other clients: {server.url} in the place of https://commentanalyzer.googleapis.com; from Python: "
        f"googleapiclient.discovery.build('commentanalyzer', 'v1alpha1', developerKey='any', static_discovery=False, "
        f"discoveryServiceUrl='{server.url}/$discovery/rest?version=v1alpha1')"
    )
    key = "GOODCTL_SERVE_KEY's value" if server.choice.key is not None else "any"
    out.next(f"PERSPECTIVE_API_KEY={key} goodctl score FILE --scorer perspective --base-url {server.url} --out OUT")
    out.note("Ctrl-C ends it")
