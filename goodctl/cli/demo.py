"""``goodctl demo``."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from goodctl.cli import complete
from goodctl.cli import options as o
from goodctl.cli.output import Output
from goodctl.errors import Interrupted, ServiceError
from goodctl.models.names import PACKAGED

if TYPE_CHECKING:
    from goodctl.workflows.demo import Demo

REPORT = "goodctl-demo.html"
"""Where the report is left when nothing else is kept."""

Keep = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option("--keep", help="Folder that keeps everything: stores, texts, figures.", show_default=False),
]
Model = Annotated[
    str, typer.Option("--model", "-M", help="Hub id, folder, .gguf file or alias.", autocompletion=complete.models)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking.")]


def demo(
    keep: Keep = None,
    model: Model = PACKAGED,
    device: o.Device = "auto",
    yes: Yes = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """See what goodctl does: stores, steered text, figures and a report, on small texts that come along.

    It takes some minutes and no network. Without --keep only the report is left, goodctl-demo.html.
    """
    from goodctl.cli import render_demo
    from goodctl.workflows import demo as work
    from goodctl.workflows.demo_results import as_values

    console = Output(as_json=json, quiet=quiet)
    ask = not (yes or json or quiet) and sys.stdin.isatty()
    with _place(keep) as folder:
        show = work.Demo(folder, model, device)
        show.check()
        if keep is None:
            _check_report()
        console.show(*render_demo.beginning(show, keep, REPORT))
        if ask:
            typer.confirm("Begin?", default=True, abort=True)
        show.prepare()
        results = _shown(show, keep, console)
        report = _report(show, keep)
        console.result(
            {**as_values(results), "report": report, "folder": keep},
            *render_demo.end(results, keep, report),
        )


def _shown(show: Demo, keep: str | None, console: Output) -> dict[str, Any]:
    """Do the steps, and show each."""
    from goodctl.cli import render_demo, writing
    from goodctl.workflows.model_choice import keeping_last_model
    from goodctl.workflows.run_job import RunControl

    results: dict[str, Any] = {}
    with keeping_last_model():
        for number, step in enumerate(show.steps(), start=1):
            console.show(*render_demo.announced(number, step))
            try:
                with writing.resumable(console) as (interruption, report):
                    results[step.name] = step.work(RunControl(interruption, report))
            except Interrupted as error:
                raise _stopped(keep, error) from None
            console.show(*render_demo.done(step.name, results[step.name]))
    return results


def _stopped(keep: str | None, error: Interrupted) -> Interrupted:
    if keep is None:
        return Interrupted(
            "Stopped. Nothing was kept, but the unpacked model.",
            hint="A demo that keeps its folder can be gone on with: goodctl demo --keep FOLDER",
        )
    return Interrupted(error.message, hint="Run the same command again: it goes on.")


@contextlib.contextmanager
def _place(keep: str | None) -> Iterator[Path]:
    """The folder that is kept, or one that is not."""
    if keep is not None:
        yield Path(keep).resolve()  # the same folder, however it is named, is the same demo
        return
    try:
        place = tempfile.TemporaryDirectory(prefix="goodctl-demo-")
    except OSError as error:
        raise ServiceError(
            f"There is no place for temporary files: {error.strerror}.",
            hint="Name a folder that can be written: goodctl demo --keep FOLDER",
        ) from error
    with place as folder:
        yield Path(folder)


def _check_report() -> None:
    """Check, before anything is computed, that the report can be left here."""
    target = Path(REPORT).absolute()
    try:
        if target.is_dir():
            raise OSError(0, "it is a folder")
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise _unwritable(target, error) from error


def _unwritable(target: Path, error: OSError) -> ServiceError:
    return ServiceError(
        f"{target} cannot be written: {error.strerror}.",
        hint="Keep everything in a folder that can be written: goodctl demo --keep FOLDER",
    )


def _report(show: Demo, keep: str | None) -> str:
    """Where the report is: in the folder that is kept, else in the current one."""
    page = show.run_folder.page
    if keep is not None:
        return str(Path(keep) / page.relative_to(show.folder))
    target = Path(REPORT).resolve()
    part = target.with_name(f".{REPORT}.part")
    try:
        shutil.copyfile(page, part)
        part.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    return str(target)


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(epilog="Example: goodctl demo --keep demo")(demo)
