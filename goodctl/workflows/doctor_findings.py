"""What a look at an installation has found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How something stands."""

    OK = "ok"
    INFO = "info"
    """Neither good nor bad."""
    MISSING = "missing"
    """Optional, and not there."""
    WARNING = "warning"
    """Something will be slow, or fail when it is used."""
    BROKEN = "broken"
    """Essential, and not as it must be."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is, in a word or two.
        state: How it stands.
        text: What there is to say, in a sentence.
        next: The command to run, or what else to do as a sentence with a full stop; None where there is nothing to do.
        details: The same and more as JSON values, with stable names.
    """

    name: str
    state: State
    text: str
    next: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Stable names, for ``--json``."""
        return {
            "name": self.name,
            "state": self.state.value,
            "text": self.text,
            "next": self.next,
            "details": dict(self.details),
        }


@dataclass(frozen=True)
class Section:
    """Findings that belong together.

    Attributes:
        name: Stable, for ``--json``.
        title: For people.
        findings: In the order in which they are shown.
    """

    name: str
    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Diagnosis:
    """All that was found.

    Attributes:
        sections: In the order in which they are shown.
        offline: Whether nothing was asked over the network.
    """

    sections: tuple[Section, ...]
    offline: bool

    @property
    def works(self) -> bool:
        """Whether nothing essential is broken."""
        return not self.of(State.BROKEN)

    def of(self, state: State) -> tuple[Finding, ...]:
        """The findings of one state."""
        return tuple(each for section in self.sections for each in section.findings if each.state is state)

    def to_dict(self) -> dict[str, Any]:
        """Stable names, for ``--json``."""
        return {
            "works": self.works,
            "offline": self.offline,
            "sections": {each.name: [finding.to_dict() for finding in each.findings] for each in self.sections},
        }


def isolated(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; if it fails, what it had found so far, and a finding that says so."""
    try:
        yield from look()
    except Exception as error:  # whatever a broken installation raises
        yield Finding(
            name,
            State.WARNING,
            f"could not be looked at: {said(error)}",
            details={"error": said(error)},
        )


def said(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
