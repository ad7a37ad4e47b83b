"""The errors that goodctl raises, grouped by what a caller would do about them.

GoodctlError              kind "error"         exit code 1
├── UsageError            kind "usage"         exit code 2    the call itself is wrong: an option, a field, a value
│   └── InputError        kind "input"         exit code 2    a file's content is wrong; names the file and the line
├── NotFoundError         kind "not_found"     exit code 3    a path, model, snapshot or store that is not there
├── ExistsError           kind "exists"        exit code 4    something is there already
│   └── ConflictError     kind "conflict"      exit code 4    another writer holds the store, or it has moved on
├── ServiceError          kind "service"       exit code 5    something outside failed: a hub, an API, a full disk
├── IncompatibleError     kind "incompatible"  exit code 6    store and model, or store and goodctl, do not fit
│   └── DamagedError      kind "damaged"       exit code 6    stored bytes are not what was written
├── MissingDependency     kind "missing"       exit code 7    the hint is the line that installs it
└── Interrupted           kind "interrupted"   exit code 130  stopped by a signal; says what was kept

Every error carries a ``message`` that says what happened, with the file, line or value, and a ``hint`` that names the
next thing to do.
"""

from __future__ import annotations

from typing import Any, ClassVar


class GoodctlError(Exception):
    """Base of all errors that goodctl raises on purpose.

    Args:
        message: What happened, in one sentence, with the file, line or value it happened to.
        hint: What to do next, where possible a command that can be copied.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_dict(self) -> dict[str, Any]:
        """The error as stable names for ``--json``."""
        return {"error": {"kind": self.kind, "message": self.message, "hint": self.hint, "exit_code": self.exit_code}}


class UsageError(GoodctlError):
    """The call is wrong: an option, a field name or a value."""

    kind = "usage"
    exit_code = 2


class InputError(UsageError):
    """The content of an input file is wrong."""

    kind = "input"


class NotFoundError(GoodctlError):
    """A path, model, snapshot or store that was named is not there."""

    kind = "not_found"
    exit_code = 3


class ExistsError(GoodctlError):
    """What would be created is there already."""

    kind = "exists"
    exit_code = 4


class ConflictError(ExistsError):
    """Another writer holds the store, or the store has changed meanwhile."""

    kind = "conflict"


class ServiceError(GoodctlError):
    """Something outside goodctl failed: a model hub, an API, a file system without space."""

    kind = "service"
    exit_code = 5


class IncompatibleError(GoodctlError):
    """Two things do not fit together: store and model, store and goodctl version, keys and their dtype."""

    kind = "incompatible"
    exit_code = 6


class DamagedError(IncompatibleError):
    """Stored bytes are not what was written."""

    kind = "damaged"


class MissingDependency(GoodctlError):
    """An optional package is needed; the hint is the line that installs it."""

    kind = "missing"
    exit_code = 7


class Interrupted(GoodctlError):
    """Stopped by Ctrl-C or SIGTERM; the message says what was kept."""

    kind = "interrupted"
    exit_code = 130
