"""The reference of the command line is what the command line says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT

SCRIPT = ROOT / "scripts" / "cli_reference.py"


@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_page_is_current_whatever_the_terminal(columns: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": columns},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"run: python scripts/cli_reference.py\n{done.stdout}{done.stderr}"
