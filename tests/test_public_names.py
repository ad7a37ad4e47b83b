from __future__ import annotations

import subprocess
import sys

import pytest

import goodctl


def test_every_public_name_can_be_had() -> None:
    assert sorted(goodctl.__all__) == sorted(goodctl._PLACES)
    for name in goodctl.__all__:
        assert getattr(goodctl, name).__module__.startswith("goodctl.")
        assert name in dir(goodctl)


def test_other_names_cannot() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        _ = goodctl.nosuch


def test_importing_costs_nothing() -> None:
    script = "import sys, goodctl; print([name for name in ('torch', 'numpy', 'zarr') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
