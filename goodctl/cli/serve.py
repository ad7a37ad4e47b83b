"""``goodctl serve``: scorers for other programs."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from goodctl.cli import complete
from goodctl.cli import options as o
from goodctl.cli import options_score as s
from goodctl.cli.output import Output

app = typer.Typer(
    help="Offer a scorer to other programs.",
    epilog="Example: goodctl serve perspective --scorer profanity",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SERVER = "Server"
SCORER = "Scorer"

Attributes = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(
        "--attributes",
        help="What may be asked for, with commas; by default all that a classifier has, TOXICITY of other scorers.",
        rich_help_panel=SCORER,
        show_default=False,
        autocompletion=complete.attributes,
    ),
]
Host = Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.", rich_help_panel=SERVER)]
Port = Annotated[int, typer.Option("--port", help="0 takes a free one.", rich_help_panel=SERVER)]
DefaultLanguage = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--language",
        "-l",
        help="Of requests that name none; otherwise theirs is unknown.",
        rich_help_panel=SERVER,
        show_default=False,
    ),
]
MaxBody = Annotated[int, typer.Option("--max-body", help="Bytes of a request at most.", rich_help_panel=SERVER)]
Queue = Annotated[
    int, typer.Option("--queue", help="Requests that may wait; more are answered 429.", rich_help_panel=SERVER)
]
Batch = Annotated[
    int, typer.Option("--batch", help="Texts of several clients scored together at most.", rich_help_panel=SERVER)
]
WaitMs = Annotated[float, typer.Option("--wait-ms", help="How long a text waits for others.", rich_help_panel=SERVER)]


@app.command(epilog="Example: goodctl serve perspective --scorer hf:unitary/toxic-bert --port 8080")
def perspective(
    scorer: s.Scorer,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    language: DefaultLanguage = None,
    attributes: Attributes = None,
    label_map: s.LabelMap = None,
    revision: s.Revision = None,
    device: s.Device = "auto",
    batch_tokens: s.BatchTokens = None,
    max_body: MaxBody = 262_144,
    queue: Queue = 512,
    batch: Batch = 256,
    wait_ms: WaitMs = 5.0,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Answer in the form of the Perspective API from a local scorer, for programs that know no other.

    Where GOODCTL_SERVE_KEY is set, clients must send it as their API key. Texts are never written anywhere. Ctrl-C or
    SIGTERM: what was taken is answered, then the server leaves.
    """
    from goodctl.cli import render_serve
    from goodctl.cli.progress import drawn
    from goodctl.cli.units import counted
    from goodctl.scoring.attributes import parse_attributes
    from goodctl.scoring.protocol import ScorerOptions
    from goodctl.serving.choice import ServeChoice, key_of_environment
    from goodctl.serving.running import open_server

    out = Output(as_json=json, quiet=quiet)
    choice = ServeChoice(host, port, language, max_body, queue, batch, wait_ms / 1000, key=key_of_environment())
    chosen = None if device == "auto" else device
    options = ScorerOptions(device=chosen, batch_tokens=batch_tokens, label_map=label_map, revision=revision)
    wanted = None if attributes is None else parse_attributes(attributes)
    with render_serve.stopping(), drawn(out) as report:
        server = open_server(scorer, options, choice, report, attributes=wanted)
        answered = server.run(lambda: render_serve.announce(out, server))
        out.note(f"answered {counted(answered, 'request')}")


def register(root: typer.Typer) -> None:
    """Add the commands to ``goodctl``."""
    root.add_typer(app, name="serve")
