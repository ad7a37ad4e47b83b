"""The scorer ``profanity``: alt-profanity-check, a linear model of English words that comes with its weights.

The package reads its two model files with joblib when it is imported. They are files of its own wheel, so as
trustworthy as its code; nothing else is ever read that way.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from goodctl.errors import MissingDependency
from goodctl.scoring.attributes import refuse_unknown
from goodctl.scoring.languages import entry_for
from goodctl.scoring.protocol import TOXICITY, Identity, NotScored, Outcome, Request, Scored, ScorerOptions

NAME = "profanity"
PACKAGE = "alt-profanity-check"
LANGUAGES = ("en",)
BATCH = 512
"""Texts that are held at once. The time of a text is the same from some hundred on."""


class ProfanityScorer:
    """Scores English texts with the package's probability that a text is profane.

    A text of unknown language is not scored, since only the user knows whether it is English.

    Args:
        attributes: ``toxicity`` alone.
        predict: Texts to probabilities, the package's ``predict_prob``.
        version: Of the package.
        library: Version of scikit-learn, which computes.
    """

    def __init__(
        self, attributes: tuple[str, ...], predict: Callable[[Sequence[str]], Any], version: str, library: str
    ) -> None:
        self._attributes = attributes
        self._predict = predict
        self._identity = Identity(NAME, f"{PACKAGE} {version}", {"scikit-learn": library})

    @property
    def identity(self) -> Identity:
        """Package and library, by version: the weights are part of the package."""
        return self._identity

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        """Toxicity for English, of whatever region; nothing else."""
        return self._attributes if entry_for(language, LANGUAGES) else ()

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        """Each request with its outcome, in order, batch by batch."""
        source = iter(requests)
        while batch := list(islice(source, BATCH)):
            without = [_unscored(request) for request in batch]
            texts = [request.text for request, reason in zip(batch, without, strict=True) if reason is None]
            values = iter(self._predict(texts) if texts else ())
            for request, reason in zip(batch, without, strict=True):
                yield request, reason or Scored({TOXICITY: float(next(values))})

    def close(self) -> None:
        """Nothing is held."""


def _unscored(request: Request) -> NotScored | None:
    if not request.text.strip():
        return NotScored("empty", "The text is empty.")
    if entry_for(request.language, LANGUAGES):
        return None
    language = "an unknown language" if request.language is None else request.language
    return NotScored("language", f"{NAME} scores English only, and the text is in {language}.")


def open_scorer(argument: str, options: ScorerOptions) -> ProfanityScorer:
    """Opens the scorer.

    Raises:
        UsageError: Another attribute than toxicity is wanted.
        MissingDependency: The package is not installed.
    """
    del argument
    refuse_unknown(options.attributes, (TOXICITY,), NAME)
    try:
        import sklearn
        from sklearn.exceptions import InconsistentVersionWarning

        with warnings.catch_warnings():
            # The weights were stored by another release of scikit-learn, which is part of the identity.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            from profanity_check import predict_prob
    except ImportError as error:
        raise MissingDependency(
            f"The scorer {NAME} needs the package {PACKAGE}.", hint="pip install 'goodctl[profanity]'"
        ) from error
    return ProfanityScorer(options.attributes, predict_prob, importlib.metadata.version(PACKAGE), sklearn.__version__)
