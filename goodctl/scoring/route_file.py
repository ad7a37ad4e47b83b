"""Which scorer serves which language: a TOML or JSON file of the user's.

en = "profanity"
"*" = "perspective"

[de]
scorer = "hf:german-toxicity"
label_map = "german.json"
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from goodctl.errors import InputError, NotFoundError, UsageError
from goodctl.scoring.attributes import parse_attributes
from goodctl.scoring.protocol import ScorerOptions

MOST_BYTES = 2**20
_SCORER = "scorer"
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "attributes": list,
    "rate": (int, float),
    "base_url": str,
    "device": str,
    "batch_tokens": int,
    "label_map": str,
    "revision": str,
}
_NAMES = {list: "a list of names", str: "a string", int: "a whole number"}


@dataclass(frozen=True)
class Route:
    """What serves a language.

    Attributes:
        scorer: A scorer's name, as ``--scorer`` takes it.
        options: What the user said of all scorers, with what the file says of this one.
    """

    scorer: str
    options: ScorerOptions


def read_routes(path: str, options: ScorerOptions) -> dict[str, Route]:
    """Reads a file of routes.

    Each language, and ``*`` for all others, has a scorer's name or an object of ``scorer`` and options. Options are
    those of ``goodctl score``, with ``_`` for ``-``; ``attributes``, a list, takes a part of those that are asked for.
    Paths are as on the command line, relative to the working folder.

    Raises:
        NotFoundError: There is no such file.
        InputError: It cannot be read, or an entry is wrong; the message names it.
    """
    content = _content(Path(path))
    if not content:
        raise InputError(f"{path}: no route", hint='Write one a language: en = "profanity"')
    routes: dict[str, Route] = {}
    for language, entry in content.items():
        if language.lower() in (known.lower() for known in routes):
            raise InputError(f"{path}: the language {language!r} is there twice", hint="Take one of them out.")
        routes[language] = _route(f"{path}, route {language!r}", entry, options)
    return routes


def _content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: larger than {MOST_BYTES:,} bytes, so no file of routes", hint="Check the name.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file", hint="Name a TOML or JSON file: --scorer route:FILE") from error
    except (OSError, UnicodeDecodeError) as error:
        what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise InputError(f"{path}: the file cannot be read: {what}", hint="Name a TOML or JSON file.") from error
    try:
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        form = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise InputError(
            f"{path}: broken {form}: {error}", hint='Write one line a language: en = "profanity", in TOML.'
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: not an object of languages", hint='Write {"en": "profanity"}.')
    return found


def _route(place: str, entry: object, options: ScorerOptions) -> Route:
    said: dict[str, Any] = {_SCORER: entry} if isinstance(entry, str) else entry if isinstance(entry, dict) else {}
    scorer = said.get(_SCORER)
    if not isinstance(scorer, str) or not scorer:
        raise InputError(
            f"{place}: names no scorer", hint='Write a name, "profanity", or an object with a member "scorer".'
        )
    if scorer.partition(":")[0] == "route":
        raise InputError(f"{place}: a route cannot lead to a file of routes", hint="Name the scorer itself.")
    for name, value in said.items():
        if name != _SCORER:
            _check(place, name, value)
    others = {name: value for name, value in said.items() if name not in {_SCORER, "attributes"}}
    route = Route(scorer, replace(options, **others))
    if "attributes" not in said:
        return route
    try:
        listed = parse_attributes(said["attributes"])
    except UsageError as error:
        raise InputError(f"{place}: {error.message}", hint='Write attributes = ["toxicity"].') from error
    wanted = tuple(name for name in options.attributes if name in listed)
    if not wanted:
        raise InputError(
            f"{place}: none of its attributes ({', '.join(listed)}) is asked for",
            hint=f"Asked for: {', '.join(options.attributes)}. Change --attributes, or the route.",
        )
    return replace(route, options=replace(route.options, attributes=wanted))


def _check(place: str, name: str, value: object) -> None:
    kind = _KINDS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, _KINDS, n=2)
        raise InputError(
            f"{place}: no option {name!r}",
            hint=f"{'Did you mean' if near else 'Options are'}: {', '.join(near or [_SCORER, *_KINDS])}",
        )
    good = isinstance(value, kind) and not isinstance(value, bool)
    if isinstance(value, list):
        good = good and all(isinstance(each, str) for each in value)
    if not good:
        wanted = _NAMES.get(kind, "a number") if isinstance(kind, type) else "a number"
        raise InputError(f"{place}: {name} must be {wanted}", hint=f"It is {json.dumps(value, default=str)[:60]}.")
