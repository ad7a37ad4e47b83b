"""Stopping on request at a safe moment: who catches signals sets a flag, who works looks at it between two steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Interruption:
    """A request to stop, as the command line's signal handlers make it.

    While a workflow is ``deferring``, a request waits until the workflow asks for it; outside of that whoever makes
    the request stops the program at once. The default, never requested, suits library use.
    """

    def __init__(self) -> None:
        self.requested = False
        self.deferred = False

    @contextlib.contextmanager
    def deferring(self) -> Iterator[None]:
        """While inside, the work looks at ``requested`` itself."""
        self.deferred = True
        try:
            yield
        finally:
            self.deferred = False
