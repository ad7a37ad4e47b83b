"""Claim: the default token budget of a batch (2048 on a CPU) is close to the fastest one.

    python benchmarks/batch_budget.py --model gemma3-270m TEXTFILE...

Text: documents of mixed length, one a line (benchmarks/debian_text.py makes such files). The encoder runs as in a
build, with each budget and the block size that belongs to it.
"""

from __future__ import annotations

from functools import partial

from encoders import encode_all, make_encoder, sample, set_budget
from measuring import Claim, alternate, parser, report, with_texts

from goodctl.encoding import Encoder, default_batch_tokens
from goodctl.models.source import resolve

BUDGETS = [512, 1024, 2048, 4096, 8192, 16384]


def main(arguments: list[str] | None = None) -> None:
    options = with_texts(parser(__doc__))
    options.add_argument("--rows", type=int, default=33_000, help="default: %(default)s")
    options.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="token budgets to try")
    options.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], help="default: both")
    options.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    source = resolve(chosen.model)
    encoders = {precision: make_encoder(source, chosen.device, precision) for precision in chosen.precisions}
    first = next(iter(encoders.values()))
    default = default_batch_tokens(first.model.device)
    budgets = sorted({*chosen.budgets, default})
    documents = sample(first, chosen.texts, chosen.rows, chosen.seed)
    rows = 0

    def encode(encoder: Encoder, budget: int) -> None:
        nonlocal rows
        set_budget(encoder, budget)
        rows = encode_all(encoder, documents)

    table: list[dict[str, float]] = [{"budget": budget} for budget in budgets]
    claims = []
    for precision, encoder in encoders.items():
        sides = {str(budget): partial(encode, encoder, budget) for budget in budgets}
        seconds = alternate(sides, chosen.repeats)
        rate = {budget: rows / seconds[str(budget)] for budget in budgets}
        for line in table:
            line[f"{precision} rows/s"] = rate[int(line["budget"])]
        claims.append(Claim(f"{precision}_default_over_best", rate[default] / max(rate.values())))
    claims.append(Claim("default_budget", default))
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
