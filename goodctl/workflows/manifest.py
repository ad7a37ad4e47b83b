"""The manifest of a run: all that decides its output, and how far it has come."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from goodctl import __version__
from goodctl.errors import DamagedError, InputError
from goodctl.workflows.growing import Extent
from goodctl.workflows.lines import replace_text

FORMAT = "goodctl-run"
FORMAT_VERSION = 1
MOST_THREADS = 4096
NAMES = {"file", "store", "name", "revision", "preset"}
"""Members that say what something is called or where it lies; another member says what it is."""
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "faiss-cpu", "zarr", "icechunk")


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of what computes."""
    found = {"goodctl": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def read_stored(path: Path, format_name: str, format_version: int, what: str, option: str = "--out") -> dict[str, Any]:
    """The object in a manifest's file, if it is of a certain format.

    Args:
        path: The file.
        format_name: Its member ``format``.
        format_version: Its member ``format_version``.
        what: Whose manifest it would be, for the message.
        option: Where it is named, for the hint.

    Raises:
        InputError: It is none, or one of another version.
        DamagedError: It cannot be read.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DamagedError(f"{path} cannot be read: {error}.", hint="Begin anew: --overwrite") from error
    if not isinstance(stored, dict) or stored.get("format") != format_name:
        raise InputError(f"{path} is no manifest of {what}.", hint=f"Choose another {option}.")
    if stored.get("format_version") != format_version:
        raise InputError(
            f"{path} is of another version of goodctl.",
            hint=f"Choose another {option}, or take the goodctl that wrote it.",
        )
    return stored


@dataclass(frozen=True)
class Halving:
    """A batch that did not fit into memory.

    Attributes:
        prompt: Number of the prompt from which on batches are smaller.
        batch_size: Prompts of a batch from there.
    """

    prompt: int
    batch_size: int


@dataclass(frozen=True)
class Manifest:
    """What is kept beside an output.

    Attributes:
        command: ``generate``.
        settings: All that decides the text, by name; two runs with equal settings give the same distribution.
        prompts: File, SHA-256 and number of the prompts.
        batch_size: Prompts of a batch.
        threads: Of the computation.
        device: Where it ran.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        halvings: Batches that did not fit into memory.
        measured: What the temperature comes from: side to the median of k-th minus first distance.
        versions: Of programs.
        begun_at: ISO 8601, UTC.
        finished_at: The same, or None while it goes on.
        seconds: Of all its parts, loading included.
        tokens: That were generated.
        searched: How many of them with the help of neighbours.
        written: What of the output was there when this was written.
        explained: The same of the explanations.
    """

    command: str
    settings: dict[str, Any]
    prompts: dict[str, Any]
    batch_size: int
    threads: int
    device: str
    precision: str
    halvings: tuple[Halving, ...] = ()
    measured: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    begun_at: str = field(default_factory=now)
    finished_at: str | None = None
    seconds: float = 0.0
    tokens: int = 0
    searched: int = 0
    written: Extent = field(default_factory=Extent)
    explained: Extent = field(default_factory=Extent)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self), "halvings": self.halved()}

    def halved(self) -> list[dict[str, int]]:
        """The halvings as JSON values."""
        return [asdict(each) for each in self.halvings]

    def write(self, path: Path) -> None:
        """Write it in place of an older one.

        Raises:
            ServiceError: The disk does not take it.
        """
        replace_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; members of later versions are ignored.

        Raises:
            InputError: It is none, or one of another version.
            DamagedError: It cannot be read, or a member is missing or of another type.
        """
        stored = read_stored(path, FORMAT, FORMAT_VERSION, "goodctl")
        try:
            known = {name: stored[name] for name in cls.__dataclass_fields__}
            halvings = tuple(Halving(**each) for each in known.pop("halvings"))
            written, explained = Extent(**known.pop("written")), Extent(**known.pop("explained"))
            manifest = cls(**known, halvings=halvings, written=written, explained=explained)
            manifest.check()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(f"{path} is damaged: {error}.", hint="Begin anew: --overwrite") from error
        return manifest

    def check(self) -> None:
        """Check what was read.

        Raises:
            ValueError: A member cannot be what a run has written.
        """
        texts = (
            self.written.sha256,
            self.explained.sha256,
            self.device,
            self.precision,
            self.begun_at,
            self.finished_at or "",
            *self.versions.values(),
        )
        sizes = [self.batch_size, *(each.batch_size for each in self.halvings)]
        counts = (self.threads, *sizes)
        positions = (
            self.tokens,
            self.searched,
            *_sizes(self.written),
            *_sizes(self.explained),
            *(each.prompt for each in self.halvings),
        )
        good = (
            self.command == "generate",
            all(isinstance(each, dict) for each in (self.settings, self.prompts, self.versions, self.measured)),
            all(isinstance(each, str) for each in texts),
            type(self.settings.get("temperature", 1.0)) in {int, float} and self.settings.get("temperature", 1.0) > 0,
            all(type(each) is int and each >= 1 for each in counts) and self.threads <= MOST_THREADS,
            all(each <= self.batch_size for each in sizes),
            all(type(each) is int and each >= 0 for each in positions),
            all(isinstance(each, int | float) for each in (self.seconds, *self.measured.values())),
        )
        if not all(good):
            raise ValueError("a member has a value that no run writes")

    def differences(self, other: Manifest) -> list[str]:
        """What another run would do differently, as ``name: this → that``."""
        mine, theirs = (
            {**each.settings, "prompts": each.prompts, "precision": each.precision, "device": _kind(each.device)}
            for each in (self, other)
        )
        return list(_differences("", mine, theirs))

    def begun_again(self) -> Manifest:
        """The manifest of a run whose output is gone: the same batches, and nothing done."""
        nothing = Extent()
        return replace(self, written=nothing, explained=nothing, finished_at=None, seconds=0.0, tokens=0, searched=0)

    def progressed(self, *, seconds: float, tokens: int, searched: int) -> Manifest:
        """The manifest after some more work."""
        return replace(
            self,
            seconds=round(self.seconds + seconds, 3),
            tokens=self.tokens + tokens,
            searched=self.searched + searched,
        )


def _differences(name: str, mine: Any, theirs: Any) -> list[str]:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        inner = (
            _differences(f"{name}.{key}" if name else str(key), mine.get(key), theirs.get(key))
            for key in _keys(mine, theirs)
        )
        return [each for found in inner for each in found]
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        inner = (_differences(name, one, other) for one, other in zip(mine, theirs, strict=True))
        return [each for found in inner for each in found]
    return [] if mine == theirs else [f"{name}: {_short(mine)} → {_short(theirs)}"]


def _keys(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    return [key for key in dict.fromkeys([*mine, *theirs]) if key not in NAMES]


def _sizes(extent: Extent) -> tuple[int, int]:
    return extent.prompts, extent.bytes


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_short(each) for each in value)
    if isinstance(value, Mapping):
        return str(value.get("store") or value.get("name") or dict(value))
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text  # a hash


def _kind(device: str) -> str:
    return device.partition(":")[0]
