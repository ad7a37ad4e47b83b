"""Claim: the last position's logits, asked for by a slice, cost many times what they cost by an index.

    python benchmarks/head_slice.py --dtype bf16

A batch of hidden states is multiplied with the weights of an LM head, as transformers does for the last position of
each prompt: once the states are a slice of all positions, once they were picked by their index. Same numbers, same
result; torch copies the weights for every prompt in the first case. Sizes are those of gemma3-270m; no model is needed.
"""

from __future__ import annotations

from functools import partial

import torch
from measuring import Claim, alternate, parser, report

POSITIONS = 9


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--prompts", type=int, nargs="+", default=[8, 16], help="default: %(default)s")
    options.add_argument("--vocabulary", type=int, default=262_144, help="default: %(default)s")
    options.add_argument("--dimension", type=int, default=640, help="default: %(default)s")
    options.add_argument("--dtype", default="bf16", help="bf16 or fp32 (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[chosen.dtype]
    weights = torch.randn(chosen.vocabulary, chosen.dimension, dtype=dtype)
    rows = []
    for prompts in chosen.prompts:
        states = torch.randn(prompts, POSITIONS, chosen.dimension, dtype=dtype)  # (B, T, D)
        picked = states[:, torch.tensor([POSITIONS - 1])]
        with torch.inference_mode():
            seconds = alternate(
                {
                    "slice": partial(torch.nn.functional.linear, states[:, -1:], weights),
                    "index": partial(torch.nn.functional.linear, picked, weights),
                },
                chosen.repeats,
            )
        copied = prompts * weights.nbytes / 1e9
        both = {f"{name}, s": each for name, each in seconds.items()}
        rows.append({"prompts": prompts, **both, "GB copied": copied})
    last = rows[-1]
    report(chosen, rows, [Claim("slice/index", float(last["slice, s"]) / float(last["index, s"]))])


if __name__ == "__main__":
    main()
