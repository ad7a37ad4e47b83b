"""What a shell may complete: the values of options, from the very lists that the library checks them against.

Each function gives the values that begin with what is typed. Nothing heavy is imported, since a shell waits for the
answer. Where none fits, the shell completes names of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

Values = Callable[[str], list[str]]


def _fitting(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]


def methods(incomplete: str) -> list[str]:
    """``--method``."""
    from goodctl.steering.names import METHODS

    return _fitting(METHODS, incomplete)


def presets(incomplete: str) -> list[str]:
    """``--preset``."""
    from goodctl.workflows.presets import PRESETS

    return _fitting(PRESETS, incomplete)


def fidelities(incomplete: str) -> list[str]:
    """``--fidelity``."""
    from goodctl.index.fidelities import FIDELITIES

    return _fitting(FIDELITIES, incomplete)


def tuned_fidelities(incomplete: str) -> list[str]:
    """``--fidelity`` where it is compared with exact search."""
    from goodctl.index.fidelities import TUNED

    return _fitting(TUNED, incomplete)


def kinds(incomplete: str) -> list[str]:
    """``--index``; a factory string is the user's own."""
    from goodctl.index.kinds import KINDS, NONE

    return _fitting((*KINDS, NONE), incomplete)


def codecs(incomplete: str) -> list[str]:
    """``--codec`` of rows that are added."""
    from goodctl.index.codec_choices import CODEC_CHOICES

    return _fitting(CODEC_CHOICES, incomplete)


def merged_codecs(incomplete: str) -> list[str]:
    """``--codec`` of segments that are merged."""
    from goodctl.index.codec_choices import MERGED_CODEC_CHOICES

    return _fitting(MERGED_CODEC_CHOICES, incomplete)


def devices(incomplete: str) -> list[str]:
    """``--device``; how many there are of a type only torch knows."""
    from goodctl.models.names import AUTO, DEVICE_TYPES

    return _fitting((AUTO, *DEVICE_TYPES), incomplete)


def precisions(incomplete: str) -> list[str]:
    """``--precision``."""
    from goodctl.models.names import PRECISIONS

    return _fitting(PRECISIONS, incomplete)


def models(incomplete: str) -> list[str]:
    """``--model``: the aliases, once something is typed; before that, files, since most models are folders."""
    from goodctl.models.source import ALIASES

    return _fitting(ALIASES, incomplete) if incomplete else []


def key_layers(incomplete: str) -> list[str]:
    """``--key-layer``."""
    from goodctl.models.key_layer import KEY_LAYERS

    return _fitting(KEY_LAYERS, incomplete)


def key_dtypes(incomplete: str) -> list[str]:
    """``--key-dtype``."""
    from goodctl.datastore.properties import KEY_DTYPES

    return _fitting(KEY_DTYPES, incomplete)


def properties(incomplete: str) -> list[str]:
    """``--by``."""
    from goodctl.datastore.properties import BY

    return _fitting(BY, incomplete)


def scorers(incomplete: str) -> list[str]:
    """``--scorer``: names, known classifiers behind ``hf:``, JSON files behind ``route:``."""
    from goodctl.scoring.known_classifiers import presets as known
    from goodctl.scoring.registry import scorer_names

    prefix = "route:"
    if incomplete.startswith(prefix):
        return [prefix + path for path in _json_files(incomplete.removeprefix(prefix))]
    plain = [name for name in scorer_names() if name not in {"hf", "route"}]
    return _fitting([*plain, *(f"hf:{model}" for model in known()), prefix], incomplete)


def attribute(incomplete: str) -> list[str]:
    """``--attribute``: one, in lower case, as outputs call them."""
    from goodctl.scoring.known_classifiers import ATTRIBUTES as OF_CLASSIFIERS
    from goodctl.scoring.perspective.attributes import ATTRIBUTES

    return _fitting(dict.fromkeys([*ATTRIBUTES, *OF_CLASSIFIERS.values()]), incomplete)


def attributes(incomplete: str) -> list[str]:
    """``--attributes``: the last one behind a comma, in the case of what is typed; upper case to begin with."""
    before, comma, last = incomplete.rpartition(",")
    upper = not any(letter.islower() for letter in last)
    taken = before.lower().split(",")
    found = [name for name in attribute(last.lower()) if name not in taken]
    return [before + comma + (name.upper() if upper else name) for name in found]


def emitted(incomplete: str) -> list[str]:
    """``--emit``."""
    from goodctl.workflows.score_choice import PERSPECTIVE

    return _fitting((PERSPECTIVE,), incomplete)


def _json_files(typed: str) -> list[str]:
    """Paths of JSON files, and of folders to look into, that begin with what is typed."""
    folder, slash, name = typed.rpartition("/")
    try:
        found = sorted(Path(folder + slash or ".").iterdir())
    except OSError:
        return []
    fitting = [path for path in found if path.name.startswith(name) and (path.is_dir() or path.suffix == ".json")]
    return [f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in fitting]
