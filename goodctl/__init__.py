"""goodctl: datastores of hidden states that steer causal language models while they decode.

The names below are imported when they are first used, so that ``import goodctl`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from goodctl.corpus import Corpus
    from goodctl.datastore.collect import gc
    from goodctl.datastore.compaction import compact
    from goodctl.datastore.diff import diff
    from goodctl.datastore.history import log
    from goodctl.datastore.names import branches, create_branch, create_tag, delete_branch, delete_tag, tags
    from goodctl.datastore.removal import remove
    from goodctl.datastore.removal_plan import Removal
    from goodctl.datastore.rollback import rollback
    from goodctl.datastore.sharding import shard
    from goodctl.datastore.store import Datastore
    from goodctl.datastore.summary import summary
    from goodctl.errors import GoodctlError
    from goodctl.index.search import Searcher
    from goodctl.workflows.build import add, build
    from goodctl.workflows.choices import EncodingChoice, Running, Text
    from goodctl.workflows.index_choice import IndexChoice
    from goodctl.workflows.merge import MergeChoice, merge
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.neighbors import neighbors
    from goodctl.workflows.perplexity import PerplexityChoice, perplexity
    from goodctl.workflows.processor import SteeringProcessor
    from goodctl.workflows.recall import RecallChoice, recall
    from goodctl.workflows.selection import Selection
    from goodctl.workflows.verify import verify

_PLACES = {
    "Corpus": "goodctl.corpus",
    "Datastore": "goodctl.datastore.store",
    "EncodingChoice": "goodctl.workflows.choices",
    "GoodctlError": "goodctl.errors",
    "IndexChoice": "goodctl.workflows.index_choice",
    "MergeChoice": "goodctl.workflows.merge",
    "ModelChoice": "goodctl.workflows.model_choice",
    "PerplexityChoice": "goodctl.workflows.perplexity",
    "RecallChoice": "goodctl.workflows.recall",
    "Removal": "goodctl.datastore.removal_plan",
    "Running": "goodctl.workflows.choices",
    "Searcher": "goodctl.index.search",
    "Selection": "goodctl.workflows.selection",
    "SteeringProcessor": "goodctl.workflows.processor",
    "Text": "goodctl.workflows.choices",
    "add": "goodctl.workflows.build",
    "branches": "goodctl.datastore.names",
    "build": "goodctl.workflows.build",
    "compact": "goodctl.datastore.compaction",
    "create_branch": "goodctl.datastore.names",
    "create_tag": "goodctl.datastore.names",
    "delete_branch": "goodctl.datastore.names",
    "delete_tag": "goodctl.datastore.names",
    "diff": "goodctl.datastore.diff",
    "gc": "goodctl.datastore.collect",
    "log": "goodctl.datastore.history",
    "merge": "goodctl.workflows.merge",
    "neighbors": "goodctl.workflows.neighbors",
    "perplexity": "goodctl.workflows.perplexity",
    "recall": "goodctl.workflows.recall",
    "remove": "goodctl.datastore.removal",
    "rollback": "goodctl.datastore.rollback",
    "shard": "goodctl.datastore.sharding",
    "summary": "goodctl.datastore.summary",
    "tags": "goodctl.datastore.names",
    "verify": "goodctl.workflows.verify",
}

__all__ = [
    "Corpus",
    "Datastore",
    "EncodingChoice",
    "GoodctlError",
    "IndexChoice",
    "MergeChoice",
    "ModelChoice",
    "PerplexityChoice",
    "RecallChoice",
    "Removal",
    "Running",
    "Searcher",
    "Selection",
    "SteeringProcessor",
    "Text",
    "add",
    "branches",
    "build",
    "compact",
    "create_branch",
    "create_tag",
    "delete_branch",
    "delete_tag",
    "diff",
    "gc",
    "log",
    "merge",
    "neighbors",
    "perplexity",
    "recall",
    "remove",
    "rollback",
    "shard",
    "summary",
    "tags",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'goodctl' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
