"""Whether modules can be imported, tried in a process of its own: one that crashes takes nobody with it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence

TIMEOUT_S = 120.0
_MARK = "goodctl-import "
_PROGRAM = f"""
import importlib, json, sys
for target in sys.argv[1:]:
    print({_MARK!r} + json.dumps([target, False, None]), flush=True)
    module, _, name = target.partition(":")
    try:
        found = importlib.import_module(module)
        if name:
            getattr(found, name)
        error = None
    except BaseException as raised:
        error = type(raised).__name__ + ": " + " ".join(str(raised).split())[:300]
    print({_MARK!r} + json.dumps([target, True, error]), flush=True)
"""


def tried_imports(targets: Sequence[str], timeout_s: float = TIMEOUT_S) -> dict[str, str | None]:
    """What comes of importing each module, or ``module:name``, in order.

    Args:
        targets: Modules, best the ones first that others import.
        timeout_s: Seconds that all of them may take; the one that is reached by then counts as failed.

    Returns:
        Each target with None, or with the error in one line. A crash of the interpreter is an error, too.
    """
    results: dict[str, str | None] = {}
    left = list(dict.fromkeys(targets))
    while left:
        output, ended = _run(left, timeout_s)
        begun = None
        for line in output.splitlines():
            if not line.startswith(_MARK):
                continue  # some packages print while they are imported
            target, done, error = json.loads(line.removeprefix(_MARK))
            begun = None if done else target
            if done:
                results[target] = error
        if begun is None and (missed := [target for target in left if target not in results]):
            begun = missed[0]  # it ended before it began; nothing is asked for ever
        if begun is not None:
            results[begun] = ended
        left = [target for target in left if target not in results]
    return {target: results[target] for target in dict.fromkeys(targets)}


def found_modules(targets: Sequence[str]) -> dict[str, str | None]:
    """The same without importing, where no process can be started: whether each module is there at all."""
    results: dict[str, str | None] = {}
    for target in targets:
        module = target.partition(":")[0]
        try:
            there = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            there = False
        results[target] = None if there else f"ModuleNotFoundError: No module named {module!r}"
    return results


def _run(targets: Sequence[str], timeout_s: float) -> tuple[str, str]:
    """What a process that imports them has printed, and how it ended."""
    # The same places as here, and not the current folder, where a file may have the name of a package (-P).
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-P", "-c", _PROGRAM, *targets]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and names of modules
            command, capture_output=True, timeout=timeout_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode(errors="replace"), f"had not ended after {timeout_s:.0f} s"
    how = f"crashed with signal {-done.returncode}" if done.returncode < 0 else f"ended Python with {done.returncode}"
    return done.stdout.decode(errors="replace"), how
