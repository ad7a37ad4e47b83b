"""Progress as events: the library reports, the command line draws. Silent unless a ``Report`` is passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Progress:
    """One observation of a running job.

    Attributes:
        stage: What is being done, as a short phrase (``"encoding"``); empty for a remark outside of any stage.
        done: Units finished so far.
        total: Units expected, or None where nobody knows; an estimate may change from event to event.
        unit: What ``done`` and ``total`` count (``"tokens"``, ``"documents"``, ``"bytes"``).
        rows: Datastore rows written or encoded so far, where that makes sense.
        note: A sentence for the user (a warning, a decision taken), shown once.
        detail: How fast it goes, or what else is worth knowing meanwhile; shown beside the bar.
        finished: Whether the stage ends with this event.
    """

    stage: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    rows: int | None = None
    note: str | None = None
    detail: str = ""
    finished: bool = False

    @property
    def is_remark(self) -> bool:
        """Whether the event is only its note, outside of any stage."""
        return not self.stage


Report = Callable[[Progress], None]


def silent(event: Progress) -> None:
    """The default ``Report``: nothing is shown."""


def headed(report: Report, head: str) -> Report:
    """A ``Report`` that names stages under a heading, where several steps have stages of the same name.

    Args:
        report: Gets the events.
        head: Of their stages; remarks have none.
    """

    def under(event: Progress) -> None:
        report(event if event.is_remark else replace(event, stage=f"{head}: {event.stage}"))

    return under
