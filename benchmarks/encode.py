"""Claim: goodctl encodes several times faster than the textbook way, and about as fast as the backbone can run.

    python benchmarks/encode.py --model gemma3-270m TEXTFILE...

Text: documents of mixed length, one a line, several languages (benchmarks/debian_text.py makes such files). The same
random documents serve all sides; the textbook side takes the first of them only, since a rate needs no more.

a    textbook    the whole model with LM head and loss, fp32, windows of 1024, masks (benchmarks/textbook.py)
b    goodctl     tokenizing and encoding as a build does, fp32
c    goodctl     the same in bf16
d32  backbone    the same backbone up to the key layer, tokenized before, batches without any padding, fp32
d16  backbone    the same in bf16

The batches of d have the lengths of the documents: all windows sorted by length, cut at the token budget, and each
batch given the mean length of its windows. So d computes the same attention, which costs the square of the length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from encoders import encode_all, make_encoder, sample
from measuring import Claim, alternate, parser, report, with_texts
from textbook import textbook_rows

from goodctl.corpus import Document
from goodctl.encoding import Encoder, windows
from goodctl.models.key_layer import capture
from goodctl.models.source import resolve


def packed(encoder: Encoder, documents: Sequence[Document]) -> list[torch.Tensor]:
    """The documents' tokens as full batches (B, T) without padding, in the lengths that the documents have."""
    tokens = [of_it[:-1] for of_it in encoder.tokenize([document.text for document in documents]) if len(of_it) > 1]
    lengths = [w.length for of_it in tokens for w in windows(0, len(of_it) + 1, encoder.window, bos=True)]
    stream = torch.from_numpy(np.concatenate([*tokens, *tokens]).astype(np.int64))  # windows repeat some tokens
    batches, start, group = [], 0, list[int]()
    for length in [*sorted(lengths, reverse=True), encoder.batch_tokens + 1]:
        if group and sum(group) + length > encoder.batch_tokens:
            shape = (len(group), round(sum(group) / len(group)))
            batches.append(stream[start : start + shape[0] * shape[1]].reshape(shape))
            start, group = start + shape[0] * shape[1], []
        group.append(length)
    return batches


def run_packed(encoder: Encoder, batches: Sequence[torch.Tensor]) -> None:
    """The backbone on batches, waiting for the device at the end."""
    for batch in batches:
        hidden = capture(encoder.model.model, encoder.key_layer, batch.to(encoder.model.device), None)
    hidden.flatten()[0].item()


def main(arguments: list[str] | None = None) -> None:
    options = with_texts(parser(__doc__))
    options.add_argument("--rows", type=int, default=32_000, help="rows of goodctl's sides (default: %(default)s)")
    options.add_argument("--max-rows", type=int, default=8_000, help="of the textbook side (default: %(default)s)")
    options.add_argument(
        "--batch-windows", type=int, default=8, help="of the textbook side (default: %(default)s, as the Trainer's)"
    )
    options.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    source = resolve(chosen.model)
    full, half = (make_encoder(source, chosen.device, precision) for precision in ("fp32", "bf16"))
    documents = sample(full, chosen.texts, chosen.rows, chosen.seed)
    few = sample(full, chosen.texts, min(chosen.max_rows, chosen.rows), chosen.seed)
    batches = packed(full, documents)
    rows: dict[str, int] = {}

    def textbook() -> None:
        rows["a"] = textbook_rows(full.model, full.key_layer, few, chosen.batch_windows)

    def goodctl(side: str, encoder: Encoder) -> None:
        rows[side] = encode_all(encoder, documents)

    seconds = alternate(
        {
            "a": textbook,
            "b": lambda: goodctl("b", full),
            "c": lambda: goodctl("c", half),
            "d32": lambda: run_packed(full, batches),
            "d16": lambda: run_packed(half, batches),
        },
        chosen.repeats,
    )
    rows["d32"] = rows["d16"] = rows["b"]  # of the same windows: where long documents overlap, no side has them twice
    names = {
        "a": "a    textbook, fp32",
        "b": "b    goodctl, fp32",
        "c": "c    goodctl, bf16",
        "d32": "d32  backbone, fp32",
        "d16": "d16  backbone, bf16",
    }
    rate = {side: rows[side] / seconds[side] for side in names}
    table = [
        {"side": name, "rows": rows[side], "seconds": seconds[side], "rows/s": rate[side]}
        for side, name in names.items()
    ]
    claims = [
        Claim("b/a", rate["b"] / rate["a"], ">= 4.5"),
        Claim("c/a", rate["c"] / rate["a"], ">= 8"),
        Claim("b/d32", rate["b"] / rate["d32"], ">= 0.9"),
        Claim("c/d16", rate["c"] / rate["d16"], ">= 0.9"),
    ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
