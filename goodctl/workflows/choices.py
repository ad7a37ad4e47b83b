"""What a writing command was asked to do: which text, encoded how, and how to run."""

from __future__ import annotations

from dataclasses import dataclass, field

from goodctl.corpus import Corpus
from goodctl.datastore.format import Header
from goodctl.datastore.properties import KEY_DTYPES
from goodctl.errors import IncompatibleError, UsageError
from goodctl.interruption import Interruption
from goodctl.models.key_layer import KEY_LAYERS
from goodctl.progress import Report, silent
from goodctl.workflows.selection import Selection

CHECKPOINT_EVERY_S = 180.0


def check_text(option: str, value: str | None) -> None:
    """Check that a value is text that can be stored: a terminal may pass bytes that are not.

    Raises:
        UsageError: It cannot be encoded in UTF-8.
    """
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise UsageError(f"{option} {value!r} is not valid UTF-8.", hint="Type it in a UTF-8 terminal.") from None


@dataclass(frozen=True)
class EncodingChoice:
    """How text becomes rows; None takes the store's own choice, or the default in a new store.

    Attributes:
        key_layer: ``ffn-input`` (default), ``ffn-output``, ``layer-output`` or ``last-hidden``.
        key_dtype: ``float16`` (default) or ``float32``.
        window: Longest context in tokens.
        batch_tokens: Token budget of a batch.
    """

    key_layer: str | None = None
    key_dtype: str | None = None
    window: int | None = None
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        for option, value, known in (
            ("--key-layer", self.key_layer, KEY_LAYERS),
            ("--key-dtype", self.key_dtype, KEY_DTYPES),
        ):
            if value is not None and value not in known:
                raise UsageError(
                    f"{option} {value}: there is no such choice.", hint=f"Choose one of {', '.join(known)}."
                )
        if self.window is not None and self.window < 4:
            raise UsageError(
                f"--window {self.window}: it must be at least 4 tokens.", hint="Leave it out for the default."
            )
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise UsageError(
                f"--batch-tokens {self.batch_tokens}: it must be at least 1.", hint="Leave it out for the default."
            )

    def check_fits(self, header: Header, store: str) -> None:
        """Check that nothing is asked for that differs from how a store's keys were made.

        Raises:
            IncompatibleError: Key layer, key dtype or window differ.
        """
        for option, asked, there in (
            ("--key-layer", self.key_layer, header.key_layer),
            ("--key-dtype", self.key_dtype, header.key_dtype),
            ("--window", self.window, header.window),
        ):
            if asked is not None and asked != there:
                raise IncompatibleError(
                    f"{option} {asked}: the keys of {store} were made with {there}.",
                    hint=f"Leave {option} out, or build a separate store.",
                )


@dataclass(frozen=True)
class Text:
    """What is read.

    Attributes:
        corpus: Files, folders, globs and hub datasets, and how to read them.
        selection: Limits on what is read.
        label: What the user calls the text, for example ``toxic``; or None.
    """

    corpus: Corpus
    selection: Selection = field(default_factory=Selection)
    label: str | None = None

    def __post_init__(self) -> None:
        for option, value in (("--label", self.label), ("--language", self.corpus.language)):
            check_text(option, value)


@dataclass(frozen=True)
class Running:
    """How a writing job runs, apart from what it does.

    Attributes:
        message: Commit message; by default it names the files.
        restart: Discard what an interrupted run has kept.
        again: Add text that the store has already.
        checkpoint_every_s: Seconds between checkpoints.
        interruption: Who may ask the job to stop.
        report: Gets progress.
    """

    message: str | None = None
    restart: bool = False
    again: bool = False
    checkpoint_every_s: float = CHECKPOINT_EVERY_S
    interruption: Interruption = field(default_factory=Interruption)
    report: Report = silent

    def __post_init__(self) -> None:
        check_text("--message", self.message)
