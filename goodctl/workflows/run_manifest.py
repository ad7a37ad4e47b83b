"""The manifest of a whole run: from it the run is gone on with, and repeated elsewhere."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goodctl.errors import DamagedError, GoodctlError, NotFoundError
from goodctl.workflows.lines import replace_text
from goodctl.workflows.manifest import MOST_THREADS, now, read_stored, versions
from goodctl.workflows.run_config import checked
from goodctl.workflows.run_folder import MANIFEST, RunFolder
from goodctl.workflows.run_settings import STORES, RunSettings, settings_of

FORMAT = "goodctl-whole-run"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class RunManifest:
    """What is kept of a whole run.

    Attributes:
        settings: All of them, the stores by the version that the run keeps to (``STORE@SNAPSHOT``).
        asked: Side of the steering to the stores as they were asked for.
        prompts: File, SHA-256 and number of the prompts.
        threads: Of the computation; sums depend on it.
        batch_size: Prompts at once.
        folder: In which the command was called; relative paths are seen from it.
        retaken: Whether the run has taken the place of one with other settings, whose files may still lie there.
        done: Steps that are finished.
        outputs: Data file to its SHA-256, of the steps that are finished.
        repeats: The same of the run that this one repeats; empty where it repeats none.
        begun_at: ISO 8601, UTC.
        finished_at: The same, or None while it goes on.
        versions: Of programs.
    """

    settings: RunSettings
    asked: Mapping[str, tuple[str, ...]]
    prompts: Mapping[str, Any]
    threads: int
    batch_size: int
    folder: str
    retaken: bool = False
    done: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    repeats: Mapping[str, str] = field(default_factory=dict)
    begun_at: str = field(default_factory=now)
    finished_at: str | None = None
    versions: Mapping[str, str] = field(default_factory=versions)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **vars(self),
            "settings": self.settings.tables(),
            "asked": {side: list(stores) for side, stores in self.asked.items()},
            "done": list(self.done),
        }

    def write(self, path: Path) -> None:
        """Write it in place of an older one.

        Raises:
            ServiceError: The disk does not take it.
        """
        replace_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path | str, option: str = "--out") -> RunManifest:
        """Read a manifest; members of later versions are ignored.

        Args:
            path: The file, or the folder of a run.
            option: Where it is named, for hints.

        Raises:
            NotFoundError: There is no such file.
            InputError: It is none, or one of another version.
            DamagedError: It cannot be read, or a member is missing or of another type.
        """
        path = Path(path) / MANIFEST if Path(path).is_dir() else Path(path)
        if not path.is_file():
            raise NotFoundError(
                f"There is no manifest {path}.", hint="Begin a run: goodctl run PROMPTS --scorer NAME --out FOLDER"
            )
        hint = "Make the run anew: goodctl run PROMPTS with all its settings, and --overwrite"
        try:
            stored = read_stored(path, FORMAT, FORMAT_VERSION, "a whole run", option)
        except DamagedError as error:
            raise DamagedError(error.message, hint=hint) from error
        try:
            return _of(stored, path)
        except (KeyError, TypeError, ValueError, AttributeError, GoodctlError) as error:
            raise DamagedError(f"{path} is damaged: {error}.", hint=hint) from error

    def as_asked(self) -> RunSettings:
        """The settings with the stores as they were asked for."""
        asked: dict[str, Any] = dict(self.asked)
        return replace(self.settings, **asked)

    def differences(self, asked: RunSettings) -> dict[str, str]:
        """What settings would do differently; a store that is named with or without its version is the same.

        Args:
            asked: Settings.

        Returns:
            Setting to what differs, as ``name: this → that``.
        """
        mine = self.as_asked()
        for side in STORES:
            if getattr(asked, side) == getattr(self.settings, side):
                mine = replace(mine, **{side: getattr(asked, side)})
        return mine.differences(asked)

    def own_outputs(self) -> dict[str, str]:
        """Data file to its SHA-256, of the sides that are evaluated; ``outputs`` may keep those of a side that was."""
        return {
            name: sha256
            for name, sha256 in self.outputs.items()
            if name.rpartition("/")[2].partition(".")[0] in self.settings.sides
        }

    def command(self, path: Path) -> str:
        """What goes on with the run, or repeats it: with what has to be said again, since manifests are not trusted.

        Args:
            path: Of the manifest.
        """
        words = ["goodctl", "run", "--from", str(path)]
        if self.settings.trust_remote_code:
            words.append("--trust-remote-code")
        if self.settings.base_url is not None:
            words += ["--base-url", self.settings.base_url]
        return shlex.join(words)

    def with_done(self, step: str, outputs: Mapping[str, str]) -> RunManifest:
        """The manifest after a step, and what it has written."""
        return replace(
            self,
            done=tuple(dict.fromkeys([*self.done, step])),
            outputs=dict(sorted({**self.outputs, **outputs}.items())),
        )

    def kept(self, steps: Iterable[str], folder: RunFolder) -> RunManifest:
        """The manifest of a run of whose finished steps only some are still that.

        Args:
            steps: Those that may stay.
            folder: Of the run.
        """
        done = tuple(step for step in self.done if step in set(steps))
        names = {folder.name(path) for step in done for path in folder.files_of(step)}
        outputs = {name: sha256 for name, sha256 in self.outputs.items() if name in names}
        return replace(self, done=done, outputs=outputs, finished_at=None)


def _of(stored: Mapping[str, Any], path: Path) -> RunManifest:
    known = {name: stored[name] for name in RunManifest.__dataclass_fields__}
    known["settings"] = settings_of(checked(known["settings"], str(path)))
    texts = (known["folder"], known["begun_at"], known["finished_at"] or "", known["prompts"]["sha256"], *known["done"])
    hashes = [*known["outputs"].values(), *known["repeats"].values()]
    good = (
        set(known["asked"]) == set(STORES),
        all(isinstance(each, list) for each in (*known["asked"].values(), known["done"])),
        all(isinstance(each, str) for side in known["asked"].values() for each in side),
        all(isinstance(each, str) for each in (*texts, *hashes)),
        type(known["threads"]) is int and 1 <= known["threads"] <= MOST_THREADS,
        type(known["batch_size"]) is int and known["batch_size"] >= 1,
        isinstance(known["retaken"], bool),
        isinstance(known["versions"], dict),
    )
    if not all(good):
        raise ValueError("a member has a value that no run writes")
    known["asked"] = {side: tuple(stores) for side, stores in known["asked"].items()}
    known["done"] = tuple(known["done"])
    return RunManifest(**known)
