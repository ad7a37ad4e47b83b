"""``goodctl doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from goodctl.cli import options as o
from goodctl.cli.output import Output

Offline = Annotated[
    bool, typer.Option("--offline", help="Ask nothing over the network: neither the service nor the hub.")
]


def doctor(offline: Offline = False, json: o.Json = False, quiet: o.Quiet = False) -> None:
    """Look at this installation: does it work, what is missing, why is it slow, and what to do next.

    Packages, devices, threads, memory, disk, caches, scorers, models. Nothing is changed, and no key is shown. Exit
    code 1 if something essential is broken; missing extras are no failure.
    """
    from goodctl.cli import render_doctor
    from goodctl.cli.progress import drawn
    from goodctl.workflows.doctor import diagnose

    out = Output(as_json=json, quiet=quiet)
    with drawn(out) as report:
        diagnosis = diagnose(offline=offline, report=report)
    out.result(diagnosis.to_dict(), *render_doctor.diagnosed(diagnosis))
    if not diagnosis.works:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(epilog="Example: goodctl doctor --offline")(doctor)
