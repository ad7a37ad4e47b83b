"""What a scorer is asked and what it answers.

A scorer is any object with the members of ``Scorer``. Whoever composes scorers knows nothing else of them, so that one
from another package (an entry point of the group ``goodctl.scorers``) is as good as those of goodctl.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

TOXICITY = "toxicity"


@dataclass(frozen=True)
class Request:
    """One text to be scored.

    Attributes:
        text: Any text, the empty one included.
        language: A language tag as the user wrote it (``en``, ``hi-Latn``), or None where nobody knows.
    """

    text: str
    language: str | None = None


@dataclass(frozen=True)
class Scored:
    """The scores of a text.

    Attributes:
        scores: Attribute, in lower case (``toxicity``, ``severe_toxicity``), to a number from 0 to 1. Attributes that
            the text's language lacks are missing.
        raw: What the scorer's source answered, where ``ScorerOptions.raw`` asked for it and there is such an answer.
    """

    scores: Mapping[str, float]
    raw: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NotScored:
    """A text that has no score, and will have none when this scorer is asked again.

    Attributes:
        reason: A stable word (``empty``, ``language``, ``too_long``, ``rejected``).
        message: The same as a sentence.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Failed:
    """A text whose request failed; asked again, it may get a score.

    Attributes:
        reason: A stable word (``rate_limited``, ``server``, ``connection``, ``timeout``).
        message: The same as a sentence, without any secret.
    """

    reason: str
    message: str


Outcome = Scored | NotScored | Failed


@dataclass(frozen=True)
class ScorerOptions:
    """What a user may say about any scorer; each takes what concerns it.

    Attributes:
        attributes: What to score, in lower case, without repetition; ``toxicity`` by default.
        raw: Whether ``Scored.raw`` is wanted.
        rate: Queries a second at most, for a service; None takes the service's own limit.
        base_url: Another address of the service; None takes its own.
        device: Where a model runs (``cpu``, ``cuda:1``); None decides by what is there.
        batch_tokens: Positions of a batch at most, padding included, for a model; None decides by device.
        label_map: The path of a JSON file that maps a classifier's labels; None takes a known or evident map.
        revision: The branch, tag or commit of a model on the hub.
    """

    attributes: tuple[str, ...] = (TOXICITY,)
    raw: bool = False
    rate: float | None = None
    base_url: str | None = None
    device: str | None = None
    batch_tokens: int | None = None
    label_map: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Identity:
    """What a score depends on beside text, language and attributes. It stands in manifests and keys journals.

    Attributes:
        scorer: The scorer's name as a user gives it, paths of local models included (``hf:unitary/toxic-bert``).
        version: Of the package or service that scores (``alt-profanity-check 1.9.1``, ``v1alpha1``).
        details: All else that can change a score, as JSON values: a model's fingerprint and revision, its label map.
            ``scorer`` is not part of what is compared, since a folder can be moved, and a folder's content replaced.
    """

    scorer: str
    version: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Stable names, for manifests."""
        return {"scorer": self.scorer, "version": self.version, "details": dict(self.details)}


class Scorer(Protocol):
    """Anything that scores texts.

    Its module has ``open_scorer(argument: str, options: ScorerOptions) -> Scorer``, where ``argument`` is what stands
    behind the colon of the scorer's name; opening raises what is wrong with the call.
    """

    @property
    def identity(self) -> Identity:
        """What the scores depend on. For a scorer that routes, of all its scorers together."""
        ...

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        """Those of the wanted attributes that texts of a language get; none where the language is not scored at all."""
        ...

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        """Each request with its outcome, once, in any order.

        The requests are taken one after another, as they are needed, and only a bounded number is held. What was
        yielded is written down by the caller before it asks for more. The iterator may be closed at any time, which
        ends what is under way. An error is raised only for what concerns all requests, as a rejected key does.
        """
        ...

    def close(self) -> None:
        """Free connections, threads and memory. Twice does no harm."""
        ...


def warnings_of(scorer: Scorer) -> tuple[str, ...]:
    """What a user of a scorer should know, as sentences; there may be more after scoring than before.

    A scorer need not have any: the member ``warnings``, a tuple of such sentences, is optional.
    """
    return tuple(getattr(scorer, "warnings", ()))
