"""Files of settings of a whole run: TOML, a table for each step, each setting under its option's name."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from goodctl.errors import InputError, NotFoundError, UsageError
from goodctl.scoring.attributes import parse_attributes
from goodctl.workflows import parsing
from goodctl.workflows.run_settings import RUN, TABLES, RunSettings, settings_of, table_of

MOST_BYTES = 2**20
"""A longer file is no file of settings."""
_FIELDS: dict[str, Field[Any]] = {each.name: each for each in fields(RunSettings)}
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text in quotes"),
    "tuple[str, ...]": ((list,), "a list of texts"),
}
_AUTO = ("temperature", "batch_size")
OUT = "out"
"""The folder: no setting, since the same run may lie anywhere, but a file may name it beside them."""


def read_config(path: str) -> dict[str, Any]:
    """The settings that a file names, by option.

    Args:
        path: A TOML file.

    Returns:
        Setting to its value, lists for tuples; beside them ``out``, if the file names the folder. Those that are left
        to the program are not among them.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is no TOML, or names a table or setting that there is not, or a value of another type.
    """
    return checked(_read(path), path)


def read_settings(path: str) -> RunSettings:
    """The settings of a file, with defaults for what it does not name; without the folder.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is no file of settings.
    """
    return settings_of({name: value for name, value in read_config(path).items() if name != OUT})


def checked(tables: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings by option, each of its type.

    Args:
        tables: Table to its settings.
        where: The file, for messages.

    Raises:
        InputError: There is no such table or setting, or a value is of another type.
    """
    found: dict[str, Any] = {}
    for table, settings in tables.items():
        if table not in TABLES:
            hint = f"Write it below [{table_of(table)}]." if table in _FIELDS else _near(table, TABLES)
            raise InputError(f"{where}: there is no table [{table}]", hint=hint)
        if not isinstance(settings, Mapping):
            raise InputError(f"{where}: {table} is no table", hint=f"Write it as a line of its own: [{table}]")
        for name, value in settings.items():
            _check_place(table, name, where)
            found[name] = _value(name, value, where)
    return {name: value for name, value in found.items() if value is not None}


def as_toml(settings: RunSettings, comments: Mapping[str, str], out: str = "") -> str:
    """Settings as a file: those that are the default, or left to the program, are commented out.

    Args:
        settings: All of them.
        comments: Setting to what it means.
        out: The folder, if it is to be in the file.
    """
    return "\n".join(_lines(settings, comments, out)) + "\n"


def _lines(settings: RunSettings, comments: Mapping[str, str], out: str) -> Iterator[str]:
    yield "# Settings of goodctl run. Options of the command line go before them."
    yield "# Paths are seen from the folder in which the command is called."
    tables, defaults = settings.tables(), RunSettings().tables()
    for table in TABLES:
        yield ""
        yield f"[{table}]"
        if table == RUN:
            yield from _line(OUT, _toml(out), comments, is_default=not out)
        for name, each in _FIELDS.items():
            if each.metadata["table"] != table:
                continue
            value = tables[table].get(name)
            text = _toml(_example(each) if value is None else value)
            yield from _line(name, text, comments, is_default=value == defaults[table].get(name))


def _line(name: str, text: str, comments: Mapping[str, str], *, is_default: bool) -> Iterator[str]:
    if name in comments:
        yield from (f"# {line}" for line in comments[name].splitlines())
    yield f"{'# ' if is_default else ''}{name} = {text}"


def _example(each: Field[Any]) -> Any:
    """What stands behind a setting that is left to the program, in a line that is commented out."""
    if each.name in _AUTO:
        return parsing.AUTO
    return {"int": 1, "float": 1.0}.get(_kind(each), "")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON's strings are TOML's but for DEL
    return repr(value)


def _read(path: str) -> dict[str, Any]:
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is too long for a file of settings.", hint="Check that it is the right file.")
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # editors put a mark there
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no file {path}.", hint=f"Write one: goodctl run --print-config > {path}"
        ) from None
    except (OSError, ValueError) as error:  # no TOML, no UTF-8, a folder, a name with a zero byte
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            f"{path}: {why}", hint="It should be TOML, as goodctl run --print-config writes it."
        ) from error


def _check_place(table: str, name: str, where: str) -> None:
    if name == OUT and table == RUN:
        return
    if name not in _FIELDS:
        raise InputError(f"{where}: there is no setting {name!r}", hint=_near(name, [OUT, *_FIELDS]))
    right = table_of(name)
    if right != table:
        raise InputError(f"{where}: {name} stands in [{table}]", hint=f"Move it to [{right}].")


def _value(name: str, value: Any, where: str) -> Any:
    """A value of the setting's type; None where it is left to the program."""
    if name in _AUTO and value == parsing.AUTO:
        return None
    kind = "str" if name == OUT else _kind(_FIELDS[name])
    kinds, meaning = _KINDS[kind]
    try:
        if name == "max_missing" and isinstance(value, str):
            return parsing.share(value, name)
        if kinds == (list,) and isinstance(value, str):
            value = [value]
        fits = isinstance(value, kinds) and (isinstance(value, bool) == (kinds == (bool,)))
        if kinds == (list,) and fits:
            fits = all(isinstance(member, str) for member in value)
        if fits and name == "attributes":
            return list(parse_attributes(",".join(value)))
        if fits:
            return float(value) if kind == "float" else value
    except UsageError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from error
    except OverflowError:  # a whole number that no float is near to
        pass
    auto = " or 'auto'" if name in _AUTO else ""
    raise InputError(
        f"{where}: {name} = {_shown(value)} is not {meaning}{auto}",
        hint="See how it is written: goodctl run --print-config",
    )


def _kind(each: Field[Any]) -> str:
    return str(each.type).removesuffix(" | None")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _near(name: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Is it {close[0]}?" if close else "See all of them: goodctl run --print-config"
