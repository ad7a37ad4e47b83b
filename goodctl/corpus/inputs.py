"""From what the user typed (files, folders, globs, hub ids) to the sources to read, in a fixed order."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from goodctl.corpus.formats import SUPPORTED, Format, recognise, require_format
from goodctl.corpus.hub import HUB_PREFIX, HubSplit, parse_hub_id
from goodctl.errors import InputError, NotFoundError, UsageError


@dataclass(frozen=True)
class CorpusFile:
    """A file to read.

    Attributes:
        path: Where it is.
        format: How its bytes are read.
        size_bytes: Its size when it was found.
    """

    path: Path
    format: Format
    size_bytes: int

    @property
    def name(self) -> str:
        r"""The path as given or found, with forward slashes; bytes of it that are not UTF-8 as ``\xff``."""
        return os.fsencode(self.path.as_posix()).decode("utf-8", "backslashreplace")


def resolve_inputs(inputs: Sequence[str]) -> list[CorpusFile | HubSplit]:
    """Finds the sources behind the inputs; one that is reached twice is listed once, where it came first.

    A folder is searched through all its levels, in sorted order, without hidden entries (``.cache``, ``.git``) and
    without files of other formats. A glob names files; ``**`` crosses levels. An input that exists as it is written
    is never taken as a glob.

    Raises:
        UsageError: There is no input, or a named file has a suffix that is not read.
        NotFoundError: A file is missing, or a glob or a folder has nothing to read.
        InputError: A file or folder cannot be read.
    """
    if not inputs:
        raise UsageError("No corpus was given.", hint="Name at least one file, folder, glob or hf://NAME:SPLIT.")
    sources: dict[str, CorpusFile | HubSplit] = {}
    for text in inputs:
        for source in _resolve(text):
            key = source.name if isinstance(source, HubSplit) else os.path.realpath(source.path)
            sources.setdefault(key, source)
    return list(sources.values())


def _resolve(text: str) -> Iterator[CorpusFile | HubSplit]:
    if text.startswith(HUB_PREFIX):
        yield parse_hub_id(text)
    elif not text or "\0" in text:
        raise UsageError(f"{text!r} is not a path.", hint="Name a file, folder, glob or hf://NAME:SPLIT.")
    elif _is_folder(Path(text)):
        yield from _in_folder(Path(text))
    elif glob.has_magic(text) and not os.path.lexists(text):
        yield from _in_glob(text)
    else:
        yield _file(Path(text))


def _in_folder(folder: Path) -> Iterator[CorpusFile]:
    found = [path for path in _walk(folder) if recognise(path) is not None]
    if not found:
        raise NotFoundError(
            f"{folder.as_posix()}: the folder has no file that can be read",
            hint=f"Supported suffixes: {SUPPORTED}.",
        )
    # By parts, so that the order depends neither on the file system nor on how "/" sorts among other characters.
    for path in sorted(found, key=lambda path: path.parts):
        yield _file(path)


def _walk(folder: Path) -> Iterator[Path]:
    visited: set[str] = set()  # links to folders are followed, so a cycle has to be noticed
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_cannot_list):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        # Sorted, so that of two ways to one folder always the same is taken.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _cannot_list(error: OSError) -> NoReturn:
    raise InputError(
        f"{error.filename}: the folder cannot be read: {error.strerror}",
        hint="Check its permissions, or name the files to read one by one.",
    ) from error


def _in_glob(pattern: str) -> Iterator[CorpusFile]:
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207  # Path.glob refuses absolute patterns
    matches = sorted((Path(match) for match in found), key=lambda path: path.parts)
    readable = [path for path in matches if not _is_folder(path) and recognise(path) is not None]
    if not readable:
        raise NotFoundError(
            f"{pattern}: the pattern matches no file that can be read ({len(matches)} other matches)"
            if matches
            else f"{pattern}: the pattern matches nothing",
            hint=f"Check the pattern; it is relative to {Path.cwd()}. Supported suffixes: {SUPPORTED}.",
        )
    for path in readable:
        yield _file(path)


def _is_folder(path: Path) -> bool:
    # Path.is_dir raises where a folder above is closed to us; here that is left to what opens the file.
    return os.path.isdir(path)  # noqa: PTH112


def _file(path: Path) -> CorpusFile:
    try:
        found = path.stat()
    except PermissionError as error:
        raise InputError(
            f"{path.as_posix()}: the file cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error
    except OSError as error:
        raise NotFoundError(
            f"{path.as_posix()}: {error.strerror}", hint=f"Check the name; it is relative to {Path.cwd()}."
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"{path.as_posix()}: not a regular file, and a corpus is read more than once",
            hint="Save what it delivers to a file, and name that file.",
        )
    return CorpusFile(path, require_format(path), found.st_size)
