"""Words as bash hands them to whoever completes them: cut at ``:`` and ``=``, which are part of what goodctl takes.

bash asks with ``hf``, ``:`` and ``uni`` where ``hf:uni`` is typed, and puts the answer in the place of ``uni``. Here
the pieces are put together before typer reads them, and the answer loses what bash has already.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence

ASKED = "_GOODCTL_COMPLETE"
BASH = "complete_bash"
WORDS, PLACE = "COMP_WORDS", "COMP_CWORD"


@contextlib.contextmanager
def whole_words(environment: MutableMapping[str, str] | None = None) -> Iterator[None]:
    """Put words together while bash asks for completions inside; otherwise do nothing."""
    environment = os.environ if environment is None else environment
    place = environment.get(PLACE, "")
    if environment.get(ASKED) != BASH or not place.isdecimal():
        yield
        return
    words, number, had = joined(environment.get(WORDS, "").split("\n"), int(place))
    environment[WORDS], environment[PLACE] = "\n".join(words), str(number)
    answer = io.StringIO()
    try:
        with contextlib.redirect_stdout(answer):
            yield
    finally:
        for line in answer.getvalue().splitlines():
            sys.stdout.write(line.removeprefix(had) + "\n")


def joined(words: Sequence[str], place: int) -> tuple[list[str], int, str]:
    """Words put together again.

    Args:
        words: As bash cut them.
        place: The number of the one that is being typed; behind the last one if it is not begun.

    Returns:
        The words, the number of the one that is being typed, and what of a completion bash has already.
    """
    whole: list[str] = []
    at = len(words)
    follows = False
    for number, word in enumerate(words):
        cut = bool(word) and not word.strip(":=")
        if whole and (cut or follows):
            whole[-1] += word
        else:
            whole.append(word)
        follows = cut
        if number == place:
            at = len(whole) - 1
    if place >= len(words):
        return whole, len(whole), ""
    typed = whole[at]
    value = typed.partition("=")[2] if typed.startswith("-") and "=" in typed else typed
    head, colon, _ = value.rpartition(":")
    return whole, at, head + colon
