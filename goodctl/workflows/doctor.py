"""Does goodctl work on this machine, and what is missing, slow or broken?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from goodctl.progress import Progress, Report, silent
from goodctl.workflows import doctor_packages as packages
from goodctl.workflows.doctor_caches import caches
from goodctl.workflows.doctor_devices import devices, torch_threads
from goodctl.workflows.doctor_findings import Diagnosis, Finding, Section, State, isolated
from goodctl.workflows.doctor_imports import found_modules
from goodctl.workflows.doctor_machine import cores, room, threads
from goodctl.workflows.doctor_models import models
from goodctl.workflows.doctor_packages import Errors
from goodctl.workflows.doctor_probes import Probes
from goodctl.workflows.doctor_scorers import scorers, targets

STAGE = "looking around"


def diagnose(*, offline: bool = False, probes: Probes | None = None, report: Report = silent) -> Diagnosis:
    """Look at packages, devices, threads, room, caches, scorers and models.

    Nothing is changed, and nothing is raised: what cannot be looked at becomes a finding. Packages are imported in a
    process of their own, so that one which crashes is found out.

    Args:
        offline: Whether to ask nothing over the network.
        probes: Where to look; by default this machine.
        report: Gets progress.
    """
    probes = Probes() if probes is None else probes
    report(Progress(STAGE))
    errors, remarks = _imported(probes)
    checks: tuple[tuple[str, str, Callable[[], Iterator[Finding]]], ...] = (
        ("versions", "Versions", lambda: packages.versions(probes, errors)),
        ("devices", "Devices", lambda: _devices(probes, errors)),
        ("threads", "Threads", lambda: _threads(probes, errors)),
        ("room", "Memory and disk", lambda: room(probes)),
        ("caches", "Caches", lambda: caches(probes)),
        ("scorers", "Scorers", lambda: scorers(probes, errors, offline=offline)),
        ("models", "Models", lambda: models(probes, errors, offline=offline)),
        ("extras", "Extras", lambda: packages.extras(probes, errors)),
    )
    sections = [Section(name, title, tuple(isolated(name, look))) for name, title, look in checks]
    if remarks:
        sections.insert(1, Section("imports", "Imports", remarks))
    report(Progress(STAGE, finished=True))
    return Diagnosis(tuple(sections), offline)


def _imported(probes: Probes) -> tuple[Errors, tuple[Finding, ...]]:
    """What comes of importing all modules, in this order; if that cannot be tried, whether they are there."""
    wanted = list(packages.modules())
    found: dict[str, str | None] = {}

    def plug_ins() -> Iterator[Finding]:
        wanted.extend(targets())
        yield from ()

    def imports() -> Iterator[Finding]:
        found.update(probes.imports(wanted))
        yield from ()

    remarks = [*isolated("plug-ins", plug_ins), *isolated("imports", imports)]
    return {**found_modules(wanted), **found}, tuple(remarks)


def _devices(probes: Probes, errors: Errors) -> Iterator[Finding]:
    yield from isolated("CPU", lambda: cores(probes))
    if errors["torch"] is None:
        yield from isolated("torch", lambda: devices(probes))
    else:
        yield Finding("torch", State.INFO, "cannot be asked for devices: it cannot be imported")


def _threads(probes: Probes, errors: Errors) -> Iterator[Finding]:
    if errors["torch"] is None:
        yield from threads(probes, torch_threads)
    else:
        yield Finding("torch", State.INFO, "cannot be asked for its threads: it cannot be imported")
