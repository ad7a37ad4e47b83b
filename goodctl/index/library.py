"""faiss, imported in one place: an optional package with threads of its own."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from goodctl.errors import MissingDependency, UsageError

INSTALL = "pip install 'goodctl[cpu]'  (or 'goodctl[gpu]' where CUDA is)"


def library() -> Any:
    """The faiss module.

    torch and faiss each bring an OpenMP pool; the numbers of threads are made equal, so that one setting
    (``OMP_NUM_THREADS``, ``torch.set_num_threads``) holds for both.

    Raises:
        MissingDependency: It is not installed; exact search works without it.
    """
    try:
        faiss: Any = importlib.import_module("faiss")
    except ImportError as error:
        raise MissingDependency(
            "Approximate search needs faiss, which is not installed. Exact search (--fidelity exact) works without it.",
            hint=INSTALL,
        ) from error
    faiss.omp_set_num_threads(torch.get_num_threads())
    return faiss


def is_installed() -> bool:
    """Whether faiss can be imported."""
    try:
        library()
    except MissingDependency:
        return False
    return True


def shortened(error: Exception) -> str:
    """Faiss's own message without the C++ function and file that it names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = " ".join(lines) or type(error).__name__
    for mark in (" failed: ", ": Error: ", ".cpp:"):
        if mark in message:
            message = message.rpartition(mark)[2] or message
    message = message.lstrip("0123456789: ")
    return message if len(message) <= 200 else message[:199] + "…"


def built(factory: str, dimension: int) -> Any:
    """An empty, untrained index from a factory string.

    Raises:
        UsageError: faiss rejects the string.
    """
    faiss = library()
    try:
        return faiss.index_factory(dimension, factory, faiss.METRIC_L2)
    except (RuntimeError, TypeError, ValueError, MemoryError, OverflowError) as error:
        raise UsageError(
            f"faiss rejects the factory string {factory!r} for {dimension} dimensions: {shortened(error)}.",
            hint="Choose a kind (--index ivf-sq8, ivf-pq or exact), or a string such as 'IVF1024,SQ8'.",
        ) from error
