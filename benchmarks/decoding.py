"""Claim: steering costs a fifth of decoding, and steered text comes faster than transformers' own unsteered text.

    python benchmarks/decoding.py TOXIC NONTOXIC PROMPTS --precision fp32

TOXIC and NONTOXIC are datastores of one model with real keys, PROMPTS a file of prompts. The same prompts are continued
by turns: unsteered in our own loop, steered with each fidelity, and unsteered by transformers' ``generate`` with top-p;
the shortest time of each counts. Fidelity is measured on the very states that the steered run asked about: recall and
the mean total variation of either side's distribution over next tokens from that of exact search.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from measuring import Claim, alternate, parser, report

from goodctl.corpus.prompts import read_prompts
from goodctl.index.exact import search
from goodctl.index.fidelities import EXACT, FAST, HIGH
from goodctl.index.measure import recall, total_variation
from goodctl.index.neighbors import Found
from goodctl.steering.decode import Batch, Decoder, Sampling
from goodctl.steering.methods import Base, Method
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.prompting import Prompting
from goodctl.workflows.steering import Loaded, Steering, prepare
from goodctl.workflows.steering_choice import chosen

MOST_RATIO = {"fp32": "<= 1.2", "bf16": "<= 1.3"}
LEAST_GAIN = {"fp32": ">= 1.4", "bf16": ">= 1.7"}
MEASURED = 200
"""States that fidelity is measured on."""


@dataclass(frozen=True)
class Runs:
    """What is timed.

    Attributes:
        loaded: The model.
        batch: The prompts.
        sampling: How many continuations, how long.
    """

    loaded: Loaded
    batch: Batch
    sampling: Sampling

    def own(self, method: Method) -> list[Any]:
        """Our own loop; gives its steps."""
        loaded = self.loaded
        decoder = Decoder(loaded.model, method, self.sampling, frozenset(), loaded.key_layer)
        return list(decoder.decode(self.batch))

    def transformers(self) -> None:
        """``generate`` of transformers, as people call it."""
        longest = max(len(each) for each in self.batch.prompts)
        ids = torch.zeros(len(self.batch.prompts), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, each in enumerate(self.batch.prompts):
            ids[row, longest - len(each) :], mask[row, longest - len(each) :] = torch.tensor(each), 1
        device = self.loaded.model.device
        torch.manual_seed(0)
        with torch.inference_mode():
            self.loaded.model.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                do_sample=True,
                top_p=self.sampling.top_p,
                top_k=0,
                num_return_sequences=self.sampling.continuations,
                max_new_tokens=self.sampling.max_new_tokens,
                min_new_tokens=self.sampling.max_new_tokens,
                pad_token_id=0,
            )


def fidelity(steering: Steering, queries: np.ndarray[Any, Any], k: int) -> dict[str, float]:
    """Recall and mean total variation of both sides on states that were asked about (n, D)."""
    recalls, variations = [], []
    for name, searcher in steering.searchers.items():
        wanted = min(k, searcher.rows)
        truth = search(searcher.places(), queries, wanted, torch.device("cpu"))
        found = searcher.search(queries, wanted)
        temperature = steering.choice.temperature or 1.0
        recalls.append(recall(truth, Found(found.distances, found.rows), searcher.places(), queries).mean())
        variations.append(
            total_variation(truth, Found(found.distances, found.rows), searcher.values, temperature).mean()
        )
        assert name in {"toxic", "nontoxic"}
    return {"recall": float(np.mean(recalls)), "TV": float(np.mean(variations))}


def first_token(options: Any, runs: Runs) -> float:
    """Seconds from a loaded model to the first steered token: stores opened anew, their files warm."""
    started = time.perf_counter()
    method = prepared(options, HIGH).method()
    decoder = Decoder(runs.loaded.model, method, runs.sampling, frozenset(), runs.loaded.key_layer)
    next(decoder.decode(runs.batch))
    return time.perf_counter() - started


def prepared(options: Any, name: str) -> Steering:
    """Both stores, opened with a fidelity."""
    choice = chosen(None, toxic=[options.toxic], nontoxic=[options.nontoxic], k=options.k, fidelity=name)
    return prepare(choice, ModelChoice(options.model, device=options.device, precision=options.precision))


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("toxic", help="datastore to steer away from")
    options.add_argument("nontoxic", help="datastore to steer towards")
    options.add_argument("prompts", help="file of prompts")
    options.add_argument("--model", help="where the stores' model is (default: where they say)")
    options.add_argument("--precision", default="fp32", help="fp32 or bf16 (default: %(default)s)")
    options.add_argument("--device", default="cpu", help="default: %(default)s")
    options.add_argument("--num-prompts", type=int, default=8, help="default: %(default)s")
    options.add_argument("-n", type=int, default=25, help="continuations of a prompt (default: %(default)s)")
    options.add_argument("--max-new-tokens", type=int, default=20, help="default: %(default)s")
    options.add_argument("-k", type=int, default=1024, help="neighbours (default: %(default)s)")
    options.add_argument("--fidelities", nargs="+", default=[EXACT, HIGH, FAST], help="default: %(default)s")
    options.add_argument("--repeats", type=int, default=5, help="default: %(default)s")
    given = options.parse_args(arguments)

    steerings = {name: prepared(given, name) for name in given.fidelities}
    some = next(iter(steerings.values()))
    loaded = some.load()
    sampling = Sampling(given.n, given.max_new_tokens)
    prompts = read_prompts(given.prompts, most=given.num_prompts).prompts
    ids = [Prompting(loaded.model, sampling.max_new_tokens).tokens(each).ids for each in prompts]
    runs = Runs(loaded, Batch(ids, range(len(ids)), [each.text for each in prompts]), sampling)
    sides: dict[str, Callable[[], object]] = {"base": lambda: runs.own(Base()), "transformers": runs.transformers}
    methods = {name: steering.method() for name, steering in steerings.items()}
    for name, method in methods.items():
        sides[name] = partial(runs.own, method)
    alternate(sides, 1)  # files are made and pages are read once
    seconds = alternate(sides, given.repeats)
    steps = runs.own(methods[given.fidelities[-1]])
    states = torch.cat(
        [each.inputs.queries[each.steered.searched] for each in steps if each.inputs.queries is not None]
    )
    some_states = torch.linspace(0, len(states) - 1, min(MEASURED, len(states))).long()
    asked = states[some_states].float().cpu().numpy()
    choices = sum(each.choices for each in steps)
    table = [
        {
            "what": name,
            "s": seconds[name],
            "ms a token": 1000 * seconds[name] / choices,
            "of base": seconds[name] / seconds["base"],
            "transformers/this": seconds["transformers"] / seconds[name],
            **(fidelity(steerings[name], asked, given.k) if name in steerings else {"recall": "", "TV": ""}),
        }
        for name in sides
    ]
    default = HIGH if HIGH in seconds else given.fidelities[0]
    high = next(each for each in table if each["what"] == default)
    claims = [
        Claim(f"steered/base, {given.precision}", high["of base"], MOST_RATIO.get(given.precision)),
        Claim(f"transformers/steered, {given.precision}", high["transformers/this"], LEAST_GAIN.get(given.precision)),
        Claim("TV", high["TV"], "<= 0.02"),
        Claim("recall", high["recall"]),
        Claim("searched share of tokens", sum(each.searched for each in steps) / choices),
        Claim("temperature", some.choice.temperature or 0.0),
        Claim("first token of warm stores, s", first_token(given, runs), "<= 1"),
    ]
    report(given, table, claims)


if __name__ == "__main__":
    main()
