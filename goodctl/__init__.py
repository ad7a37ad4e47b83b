"""goodctl: datastores of hidden states that steer causal language models while they decode.

The names below are imported when they are first used, so that ``import goodctl`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from goodctl.corpus import Corpus
    from goodctl.datastore.history import log
    from goodctl.datastore.store import Datastore
    from goodctl.datastore.summary import summary
    from goodctl.errors import GoodctlError
    from goodctl.index.search import Searcher
    from goodctl.workflows.build import add, build
    from goodctl.workflows.choices import EncodingChoice, Running, Text
    from goodctl.workflows.index_choice import IndexChoice
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.neighbors import neighbors
    from goodctl.workflows.recall import RecallChoice, recall
    from goodctl.workflows.selection import Selection

_PLACES = {
    "Corpus": "goodctl.corpus",
    "Datastore": "goodctl.datastore.store",
    "EncodingChoice": "goodctl.workflows.choices",
    "GoodctlError": "goodctl.errors",
    "IndexChoice": "goodctl.workflows.index_choice",
    "ModelChoice": "goodctl.workflows.model_choice",
    "RecallChoice": "goodctl.workflows.recall",
    "Running": "goodctl.workflows.choices",
    "Searcher": "goodctl.index.search",
    "Selection": "goodctl.workflows.selection",
    "Text": "goodctl.workflows.choices",
    "add": "goodctl.workflows.build",
    "build": "goodctl.workflows.build",
    "log": "goodctl.datastore.history",
    "neighbors": "goodctl.workflows.neighbors",
    "recall": "goodctl.workflows.recall",
    "summary": "goodctl.datastore.summary",
}

__all__ = [
    "Corpus",
    "Datastore",
    "EncodingChoice",
    "GoodctlError",
    "IndexChoice",
    "ModelChoice",
    "RecallChoice",
    "Running",
    "Searcher",
    "Selection",
    "Text",
    "add",
    "build",
    "log",
    "neighbors",
    "recall",
    "summary",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'goodctl' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
