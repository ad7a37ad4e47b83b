"""The texts that come with the demo, and the folder that it works in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from goodctl.errors import ExistsError, ServiceError, UsageError
from goodctl.workflows.lines import replace_text

FIRST_LANGUAGE = "en"
LANGUAGES = (FIRST_LANGUAGE, "fr", "es")
NAMES = {"en": "English", "fr": "French", "es": "Spanish"}
SIDES = {"nontoxic": "kind", "toxic": "rude"}
"""Store to the name of its side's texts."""
PROMPTS, LANGUAGE_PROMPTS = "prompts.jsonl", "languages.jsonl"
MARK = "demo.json"


def text_name(language: str, side: str) -> str:
    """The file of a language's texts for a store, ``toxic`` or ``nontoxic``."""
    return f"{language}-{SIDES[side]}.txt"


def names() -> list[str]:
    """All files that come with the demo."""
    texts = [text_name(language, side) for language in LANGUAGES for side in SIDES]
    return [*texts, PROMPTS, LANGUAGE_PROMPTS]


def read(name: str) -> str:
    """A file that comes with the demo."""
    return resources.files("goodctl.workflows").joinpath("demo_data", name).read_text(encoding="utf-8")


def prepare(folder: Path, settings: Mapping[str, object]) -> None:
    """Write the demo's files into a folder, a new one or that of an earlier demo of the same settings.

    Args:
        folder: Where the demo works.
        settings: What decides the demo's results: of another demo's folder they differ.

    Raises:
        UsageError: The place is no folder.
        ExistsError: Something else lies there, a demo with other settings or texts, or a file was changed.
        ServiceError: The disk does not take it.
    """
    mark = {"format": "goodctl-demo", "format_version": 1, **settings, "texts": _sha256()}
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file, and a folder is needed.", hint="Name a new one: --keep FOLDER")
        folder.mkdir(parents=True, exist_ok=True)
        there = (folder / MARK).read_text(encoding="utf-8") if (folder / MARK).exists() else None
        if there is None and any(path.name != f".{MARK}.part" for path in folder.iterdir()):
            raise ExistsError(f"{folder} is not empty.", hint="Name a new folder: --keep FOLDER")
        if there is not None and there != _text(mark):
            raise ExistsError(
                f"{folder} holds a demo with another model, device or version of goodctl.",
                hint=f"Name a new folder: --keep FOLDER, or delete {folder}.",
            )
        if there is None:
            replace_text(folder / MARK, _text(mark))
        for name in names():
            path = folder / name
            if not path.exists():
                replace_text(path, read(name))
            elif path.read_text(encoding="utf-8", errors="replace") != read(name):
                raise ExistsError(
                    f"{path} is not the demo's: it has been changed.",
                    hint="Move it away, and the demo writes its own; or name a new folder: --keep FOLDER",
                )
    except OSError as error:
        raise ServiceError(
            f"{folder} cannot be written: {error.strerror}.", hint="Name another folder: --keep FOLDER"
        ) from error


def _sha256() -> str:
    return hashlib.sha256("".join(read(name) for name in names()).encode()).hexdigest()


def _text(mark: dict[str, object]) -> str:
    return json.dumps(mark, ensure_ascii=False, indent=2) + "\n"
