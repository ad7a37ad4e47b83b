"""Commands as a user runs them, without the seconds that importing torch takes each time.

Each command is a process of its own with its own standard streams, folder and environment. It is forked from a server
that has imported the heavy libraries and done nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
# Nothing here may start a thread on import: a fork would lose it.
_CONTEXT.set_forkserver_preload(
    ["torch", "transformers.models.gpt2.modeling_gpt2", "icechunk", "zarr", "faiss", "goodctl.cli.app", __name__]
)


def run_command(
    arguments: Sequence[str], folder: Path | None, environment: Mapping[str, str], timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run ``goodctl`` with arguments, in a folder, and wait for its end.

    Raises:
        AssertionError: It did not end in time.
    """
    with tempfile.TemporaryDirectory() as name:
        streams = (Path(name, "stdout"), Path(name, "stderr"))
        process = _CONTEXT.Process(
            target=_command, args=(list(arguments), str(folder or Path.cwd()), dict(environment), *map(str, streams))
        )
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"goodctl {arguments} had not ended after {timeout} s")
        code = process.exitcode
        assert code is not None
        stdout, stderr = (stream.read_text(encoding="utf-8") for stream in streams)
        return subprocess.CompletedProcess(["goodctl", *arguments], code, stdout, stderr)


def _command(arguments: list[str], folder: str, environment: dict[str, str], stdout: str, stderr: str) -> None:
    for stream, number in ((stdout, 1), (stderr, 2)):
        opened = os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # Python reads this variable when it starts, and this one has started long ago.
    added = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    sys.path[:0] = added
    sys.argv = ["goodctl", *arguments]

    from goodctl.cli.app import main

    main()
