"""The root command and the error boundary."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import Annotated, NoReturn

import typer

from goodctl import __version__
from goodctl.cli import agree, datastore, demo, doctor, evaluate, generate, perplexity, run, score, serve
from goodctl.cli.bash_words import whole_words
from goodctl.cli.output import Output
from goodctl.cli.panels import Grouped
from goodctl.errors import GoodctlError

app = typer.Typer(
    name="goodctl",
    cls=Grouped,
    help="Datastores of hidden states that steer causal language models while they decode.",
    epilog="Example: goodctl doctor --offline",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may hold keys and texts
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(datastore.app, name="datastore")
generate.register(app)
perplexity.register(app)
score.register(app)
evaluate.register(app)
agree.register(app)
run.register(app)
demo.register(app)
serve.register(app)
doctor.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"goodctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Datastores of hidden states that steer causal language models while they decode."""


def main() -> None:
    """Run the command line: known errors end with their message, hint and exit code, others with their traceback."""
    try:
        with whole_words():
            app()
    except SystemExit as ended:
        _leave(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
    except GoodctlError as error:
        Output.current.error(error)
        _leave(error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone: nothing is wrong
        sys.stderr.close()
        _leave(0)


def _leave(code: int) -> NoReturn:
    """End the process with an exit code that is the command's.

    The storage library has threads of its own. While Python takes itself apart, one of them may abort the process when
    all is done and printed, which was seen once in some thousand commands. So Python is left whole where they run.
    """
    if "icechunk" not in sys.modules:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError, ValueError):  # closed, at either end
            stream.flush()
    os._exit(code)
