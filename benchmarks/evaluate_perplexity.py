"""Claim: the perplexity of 25 continuations a prompt comes five times as fast as one text at a time.

    python benchmarks/evaluate_perplexity.py

With ``--profile`` the share of the batched time that is matrix products and attention.

By turns, the same token ids go through the same model: in our batches, where a prompt is read once for all its
continuations, and one text after another, as the published scripts do: all of prompt and continuation, with the logits
of every position. The figures of both are compared. Without ``--model`` the weights are random, in the shape of a model
of 135 M parameters, since the time does not depend on what they are; the ids are random, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Claim, alternate, parser, report
from transformers import AutoConfig, AutoModelForCausalLM

from goodctl.models.load import LoadedModel, vocabulary_of
from goodctl.models.source import ModelSource
from goodctl.workflows.conditional import Conditional
from goodctl.workflows.continuations import Continuation
from goodctl.workflows.model_choice import ModelChoice, identify

PRODUCTS = ("::mm", "::addmm", "::bmm", "::baddbmm", "::matmul", "::linear", "mkldnn", "attention")
SHAPE = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}


def random_model() -> LoadedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **SHAPE)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    source = ModelSource("random", Path())
    return LoadedModel(model, None, source, torch.device("cpu"), "fp32", vocabulary_of(model), 2048)


def texts(prompts: int, continuations: int, length: int, vocabulary: int) -> list[Continuation]:
    rng = random.Random(0)
    found = []
    for _ in range(prompts):
        prefix = tuple(rng.randrange(vocabulary) for _ in range(rng.randint(10, 30)))
        for _ in range(continuations):
            found.append(Continuation(prefix, tuple(rng.randrange(vocabulary) for _ in range(length))))
    return found


def one_at_a_time(model: Any, device: torch.device, wanted: Sequence[Continuation]) -> list[float]:
    found = []
    with torch.inference_mode():
        for each in wanted:
            ids = torch.tensor([[*each.prefix, *each.tokens]], device=device)
            log_probs = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
            behind = torch.arange(len(each.prefix), ids.shape[1], device=device)
            found.append(-float(log_probs[behind - 1, ids[0, behind]].double().sum()))
    return found


def share_of_products(work: Callable[[], object]) -> float:
    """What of a function's time on the processor is spent in matrix products, attention included."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    own = {each.key: each.self_cpu_time_total for each in profile.key_averages()}
    products = sum(time for name, time in own.items() if any(word in name for word in PRODUCTS))
    return float(products / sum(own.values()))


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--model", help="folder, alias or hub id (default: random weights)")
    options.add_argument("--device", default="cpu", help="of --model (default: %(default)s)")
    options.add_argument("--precision", default="fp32", help="of --model (default: %(default)s)")
    options.add_argument("--prompts", type=int, default=2, help="default: %(default)s")
    options.add_argument("--continuations", type=int, default=25, help="default: %(default)s")
    options.add_argument("--tokens", type=int, default=20, help="of a continuation (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    options.add_argument("--profile", action="store_true", help="also say what the batched time is spent on")
    chosen = options.parse_args(arguments)

    loaded = random_model()
    if chosen.model:
        loaded = identify(ModelChoice(chosen.model, device=chosen.device, precision=chosen.precision)).load()
    wanted = texts(chosen.prompts, chosen.continuations, chosen.tokens, loaded.vocabulary)
    conditional, results = Conditional(loaded), {}

    def ours() -> None:
        results["ours"] = conditional.nll(wanted)

    def theirs() -> None:
        results["theirs"] = np.array(one_at_a_time(loaded.model, loaded.device, wanted))

    ours()  # what a first pass costs beside the work is nobody's
    seconds = alternate({"batched": ours, "one at a time": theirs}, chosen.repeats)
    apart = float(np.abs(results["ours"] / results["theirs"] - 1).max())
    rows = [{"way": name, "seconds": each, "texts/s": len(wanted) / each} for name, each in seconds.items()]
    gain = Claim("one at a time/batched", seconds["one at a time"] / seconds["batched"], ">= 5")
    claims = [gain, Claim("largest relative difference", apart, "<= 1e-3")]
    if chosen.profile:
        claims.append(Claim("matrix products of the batched time", share_of_products(ours)))
    report(chosen, rows, claims)


if __name__ == "__main__":
    main()
