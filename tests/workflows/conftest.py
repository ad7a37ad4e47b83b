"""What the tests of generation share; a file with other stores has a fixture of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.generating import stores, write_prompts


@pytest.fixture(scope="module")
def places(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A toxic and a nontoxic store of the tiny model."""
    return stores(tmp_path_factory.mktemp("steering"), tiny)


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    """Five prompts."""
    return write_prompts(tmp_path / "prompts.jsonl")
