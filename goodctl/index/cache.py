"""Flat files that a store's rows are searched from: made from the store when they are first needed.

They lie beside the store or, where that cannot be written, in the user's cache folder. A file is named after the
content that it holds, so all versions of a store share it, and an addition makes new files only. Deleting any of them
is always safe.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from goodctl.errors import DamagedError, ServiceError, UsageError

DATA = ".bin"
DESCRIPTION = ".json"
PART = ".part"
ABANDONED_S = 24 * 3600
"""Age at which a file that is being written is taken for one of a killed process."""
FORMAT = 2
LIMIT_VARIABLE = "GOODCTL_CACHE_LIMIT"
DEFAULT_LIMIT_BYTES = 64 * 10**9
_NAME = re.compile(r"[\w-]+")
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def parse_bytes(text: str, option: str) -> int:
    """Read a size such as ``4GB``, ``512MiB`` or ``1.5g``.

    Raises:
        UsageError: It is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].lower() not in _UNITS or float(match[1]) <= 0:
        raise UsageError(f"{option} {text}: it is no size.", hint=f"Write a number and a unit: {option} 4GB")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def limit_bytes() -> int:
    """How large a cache folder may grow: ``GOODCTL_CACHE_LIMIT``, else 64 GB."""
    text = os.environ.get(LIMIT_VARIABLE)
    return parse_bytes(text, LIMIT_VARIABLE) if text else DEFAULT_LIMIT_BYTES


class Sink(Protocol):
    """Where the bytes of a file go."""

    def write(self, data: Any, /) -> object:
        """Write bytes, or anything with a buffer."""


@dataclass
class _HashedFile:
    """Hashes what is written, so that it need not be read again."""

    file: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)

    def write(self, data: Any, /) -> object:
        self.digest.update(data)
        return self.file.write(data)


def _described(path: Path) -> dict[str, Any]:
    """What is recorded of a file.

    Raises:
        ValueError: It is of another format, or not what was written.
    """
    known = json.loads(path.with_suffix(DESCRIPTION).read_text(encoding="utf-8"))
    digest = known.pop("digest")
    if known["format"] != FORMAT or digest != _digest(known):
        raise ValueError(f"{path.with_suffix(DESCRIPTION)} is not what was written")
    return dict(known)


def _is_stale(path: Path) -> bool:
    """Whether a file is of the format before this one: not damaged, but made again before it is used."""
    known = json.loads(path.with_suffix(DESCRIPTION).read_text(encoding="utf-8"))
    return known.get("format") == FORMAT - 1 and "digest" not in known


def _digest(known: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Cache:
    """The files of one folder.

    Attributes:
        folder: Where they lie; made when the first one is written.
        check: Compare every file with its hash before it is used.
    """

    folder: Path
    check: bool = False
    _in_use: set[Path] = field(default_factory=set)

    def file(
        self,
        content: str,
        make: Callable[[Sink], dict[str, Any]],
        expected_bytes: int,
        *,
        exactly: bool = False,
        sha256: str | None = None,
    ) -> tuple[Path, Any]:
        """A cached file, made when it is missing or not as it was written.

        Args:
            content: What is in it, as a name: the same name always means the same bytes.
            make: Writes it, and gives what is to be known of it beside its bytes.
            expected_bytes: How large it will be, to make room.
            exactly: Whether a file of another size is not the one that was meant.
            sha256: Hash that its bytes must have, where that is known from elsewhere.

        Returns:
            Its path, and what ``make`` gave.

        Raises:
            ServiceError: The folder cannot be written, or the disk is full.
            DamagedError: What ``make`` writes has another hash.
        """
        if not _NAME.fullmatch(content):
            raise DamagedError(f"{content!r} is no name for a file.", hint="The store is damaged or not to be trusted.")
        path = self.folder / (content + DATA)
        self._in_use.add(path)
        known = self._description(path)
        other = known is not None and (
            (exactly and known["size"] != expected_bytes) or (sha256 is not None and known["sha256"] != sha256)
        )
        if known is None or other:
            known = self._make(path, make, expected_bytes, sha256)
        with contextlib.suppress(OSError):  # marks it as used lately
            os.utime(path.with_suffix(DESCRIPTION))
        return path, known["about"]

    def _description(self, path: Path) -> dict[str, Any] | None:
        """What is known of a file, or None unless it is there as it was written."""
        try:
            known, stat = _described(path), path.stat()
            if known["size"] != stat.st_size:
                return None
            if self.check or known["modified_ns"] != stat.st_mtime_ns:  # copied, or changed: only its bytes can tell
                if _sha256(path) != known["sha256"]:
                    return None
                if known["modified_ns"] != stat.st_mtime_ns:
                    self._describe(path, {**known, "modified_ns": stat.st_mtime_ns})
            return known if "about" in known else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def damaged(self) -> dict[str, str]:
        """Files that are not as they were written: name to what is wrong and what to do.

        Looked at twice where something seems to be wrong: a reader beside it replaces a file before its description.
        """
        problems = self._damaged()
        again = self._damaged() if problems else {}
        return {name: what for name, what in problems.items() if name in again}

    def _damaged(self) -> dict[str, str]:
        problems = {}
        for path in sorted(self.folder.glob("*" + DATA)):
            if not path.with_suffix(DESCRIPTION).exists():  # of a process that was killed: nobody will use it
                continue
            try:
                good = _is_stale(path) or _described(path)["sha256"] == _sha256(path)
            except (OSError, ValueError, KeyError, TypeError):
                good = False
            if not good:
                problems[path.name] = f"is not what was written; delete it, it is made again: rm {path}"
        return problems

    def discard(self, path: Path) -> None:
        """Delete a file, so that it is made again."""
        path.unlink(missing_ok=True)
        path.with_suffix(DESCRIPTION).unlink(missing_ok=True)

    def _make(
        self, path: Path, make: Callable[[Sink], dict[str, Any]], expected_bytes: int, sha256: str | None
    ) -> dict[str, Any]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(expected_bytes)
            with tempfile.NamedTemporaryFile("w+b", dir=self.folder, suffix=PART, delete=False) as file:
                temporary = Path(file.name)
                try:
                    hashed = _HashedFile(file.file)
                    about = make(hashed)
                    file.flush()
                    if sha256 is not None and hashed.digest.hexdigest() != sha256:
                        raise DamagedError(
                            f"{path.stem} cannot be made: the stored bytes have another hash than was recorded.",
                            hint="Read an earlier version of the store: goodctl datastore log STORE",
                        )
                    temporary.chmod(0o644)  # made private; other readers of the store may use it
                    temporary.replace(path)
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
            stat = path.stat()
            known = {"format": FORMAT, "size": stat.st_size, "modified_ns": stat.st_mtime_ns}
            known["sha256"] = hashed.digest.hexdigest()
            self._describe(path, {**known, "about": about})
        except OSError as error:
            raise ServiceError(
                f"Cannot write {expected_bytes / 1e6:,.0f} MB to the cache {self.folder}: {error.strerror or error}.",
                hint=f"Free some space, or delete what is in {self.folder}: all of it can be made again.",
            ) from error
        return {**known, "about": about}

    def _describe(self, path: Path, known: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # without it the file is made again the next time
            with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=PART, delete=False) as file:
                json.dump({**known, "digest": _digest(known)}, file, separators=(",", ":"))  # no byte without meaning
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path.with_suffix(DESCRIPTION))

    def _make_room(self, wanted_bytes: int) -> None:
        """Delete the files that were not used for longest, until the new one fits; none that was asked for here."""
        found = []
        for left in self.folder.glob("*" + PART):  # of a process that was killed
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > ABANDONED_S:
                    left.unlink()
        for path in self.folder.glob("*" + DATA):
            with contextlib.suppress(OSError):
                used = path.with_suffix(DESCRIPTION) if path.with_suffix(DESCRIPTION).exists() else path
                found.append((used.stat().st_mtime_ns, path.stat().st_size, path))
        total, limit = sum(size for _, size, _ in found) + wanted_bytes, limit_bytes()
        for _, size, path in sorted(found):
            if total <= limit:
                return
            if path not in self._in_use:
                self.discard(path)
                total -= size
