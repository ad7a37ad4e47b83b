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
    from goodctl.scoring.protocol import ScorerOptions
    from goodctl.steering.decode import Sampling
    from goodctl.workflows.build import add, build
    from goodctl.workflows.choices import EncodingChoice, Running, Text
    from goodctl.workflows.evaluate import EvaluateChoice, evaluate
    from goodctl.workflows.generate import generate
    from goodctl.workflows.generate_choice import GenerateChoice, GenerateRun
    from goodctl.workflows.index_choice import IndexChoice
    from goodctl.workflows.merge import MergeChoice, merge
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.neighbors import neighbors
    from goodctl.workflows.perplexity import PerplexityChoice, perplexity
    from goodctl.workflows.processor import SteeringProcessor
    from goodctl.workflows.recall import RecallChoice, recall
    from goodctl.workflows.run import run
    from goodctl.workflows.run_config import read_settings
    from goodctl.workflows.run_job import RunControl
    from goodctl.workflows.run_manifest import RunManifest
    from goodctl.workflows.run_settings import RunSettings
    from goodctl.workflows.score import score
    from goodctl.workflows.score_choice import ScoreChoice, ScoreRun
    from goodctl.workflows.selection import Selection
    from goodctl.workflows.steering_choice import SteeringChoice
    from goodctl.workflows.verify import verify

_PLACES = {
    "Corpus": "goodctl.corpus",
    "Datastore": "goodctl.datastore.store",
    "EncodingChoice": "goodctl.workflows.choices",
    "EvaluateChoice": "goodctl.workflows.evaluate",
    "GenerateChoice": "goodctl.workflows.generate_choice",
    "GenerateRun": "goodctl.workflows.generate_choice",
    "GoodctlError": "goodctl.errors",
    "IndexChoice": "goodctl.workflows.index_choice",
    "MergeChoice": "goodctl.workflows.merge",
    "ModelChoice": "goodctl.workflows.model_choice",
    "PerplexityChoice": "goodctl.workflows.perplexity",
    "RecallChoice": "goodctl.workflows.recall",
    "Removal": "goodctl.datastore.removal_plan",
    "RunControl": "goodctl.workflows.run_job",
    "RunManifest": "goodctl.workflows.run_manifest",
    "RunSettings": "goodctl.workflows.run_settings",
    "Running": "goodctl.workflows.choices",
    "Sampling": "goodctl.steering.decode",
    "ScoreChoice": "goodctl.workflows.score_choice",
    "ScoreRun": "goodctl.workflows.score_choice",
    "ScorerOptions": "goodctl.scoring.protocol",
    "Searcher": "goodctl.index.search",
    "Selection": "goodctl.workflows.selection",
    "SteeringChoice": "goodctl.workflows.steering_choice",
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
    "evaluate": "goodctl.workflows.evaluate",
    "gc": "goodctl.datastore.collect",
    "generate": "goodctl.workflows.generate",
    "log": "goodctl.datastore.history",
    "merge": "goodctl.workflows.merge",
    "neighbors": "goodctl.workflows.neighbors",
    "perplexity": "goodctl.workflows.perplexity",
    "read_settings": "goodctl.workflows.run_config",
    "recall": "goodctl.workflows.recall",
    "remove": "goodctl.datastore.removal",
    "rollback": "goodctl.datastore.rollback",
    "run": "goodctl.workflows.run",
    "score": "goodctl.workflows.score",
    "shard": "goodctl.datastore.sharding",
    "summary": "goodctl.datastore.summary",
    "tags": "goodctl.datastore.names",
    "verify": "goodctl.workflows.verify",
}

__all__ = [
    "Corpus",
    "Datastore",
    "EncodingChoice",
    "EvaluateChoice",
    "GenerateChoice",
    "GenerateRun",
    "GoodctlError",
    "IndexChoice",
    "MergeChoice",
    "ModelChoice",
    "PerplexityChoice",
    "RecallChoice",
    "Removal",
    "RunControl",
    "RunManifest",
    "RunSettings",
    "Running",
    "Sampling",
    "ScoreChoice",
    "ScoreRun",
    "ScorerOptions",
    "Searcher",
    "Selection",
    "SteeringChoice",
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
    "evaluate",
    "gc",
    "generate",
    "log",
    "merge",
    "neighbors",
    "perplexity",
    "read_settings",
    "recall",
    "remove",
    "rollback",
    "run",
    "score",
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
