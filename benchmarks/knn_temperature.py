"""Claim: at the temperature that goodctl takes by itself, a kNN-LM is about as good as at the best one.

    python benchmarks/knn_temperature.py STORE TEXTFILE... [--max-tokens 4000]

STORE is searched exactly. TEXTFILEs hold text that is not in it, one document a line, a language each; of each file
random documents are taken until their tokens reach the limit. A temperature is a share of the store's spread, the
median of the k-th distance less the first, or what goodctl takes for this k by itself. Perplexities are over all
tokens, and over those of each file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from measuring import Claim, parser, report

from goodctl.corpus import Corpus, Document
from goodctl.index.calibrate import distances_of, spread_at
from goodctl.index.fidelities import EXACT
from goodctl.steering.methods import KnnLm
from goodctl.steering.names import KNN_LM
from goodctl.workflows.blocks import Position, blocks
from goodctl.workflows.likelihoods import Figures, Likelihoods
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.predicting import Predictor
from goodctl.workflows.selection import Selection
from goodctl.workflows.steering import prepare
from goodctl.workflows.steering_choice import SteeringChoice

AUTO = "auto"
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
Sums = dict[tuple[int, str], Likelihoods]
"""k and share to what they give."""


def shuffled(file: Path, seed: int) -> Iterator[Document]:
    """The documents of a file in a random order; their language is the file's name."""
    documents = list(Corpus((str(file),), language=file.stem).documents())
    random.Random(seed).shuffle(documents)
    return iter(documents)


def measured(options: Any) -> tuple[Sums, dict[int, float], int]:
    """What each k and share gives, the spread of each k, and the rows that were searched."""
    steering = SteeringChoice(KNN_LM, store=(options.store,), k=max(options.k), lam=options.lam, fidelity=EXACT)
    model = ModelChoice(options.model, device=options.device, precision=options.precision)
    prepared = prepare(steering, model)
    searcher = prepared.searchers["store"]
    distances = distances_of(searcher)
    spreads = {k: spread_at(distances, k) for k in options.k}
    temperatures = {(k, f"{share:g}"): share * spreads[k] for k in options.k for share in options.shares}
    for k in options.k:
        temperatures[k, AUTO] = prepare(replace(steering, k=k), model).choice.temperature or 1.0
    sums = {at: Likelihoods(temperature, options.lam) for at, temperature in temperatures.items()}
    loaded = prepared.load()
    assert isinstance(loaded.method, KnnLm)
    predictor = Predictor(loaded.model, searcher.header.window, loaded.method.store, loaded.key_layer)
    for file in options.texts:
        limit = Selection(max_tokens=options.max_tokens)
        for block in blocks(shuffled(file, options.seed), limit, predictor, Position()):
            languages = [document.language for document in block.documents]
            for predicted in predictor.predict(block):
                assert predicted.distances is not None and predicted.values is not None
                for (k, _), likelihoods in sums.items():
                    nearest = replace(
                        predicted, distances=predicted.distances[:, :k], values=predicted.values[:, :k]
                    )  # exact search gives them in order
                    likelihoods.add(nearest, languages)
            for likelihoods in sums.values():
                likelihoods.count(block)
    return sums, spreads, searcher.rows


def row(k: str, share: str, temperature: str, perplexities: dict[str, float], base: float) -> dict[str, Any]:
    """One line of the table."""
    return {
        "k": k,
        "share of the spread": share,
        "temperature": temperature,
        "perplexity": perplexities[""],
        "change": f"{perplexities[''] / base - 1:+.1%}",
        **{language: value for language, value in perplexities.items() if language},
    }


def perplexities(likelihoods: Likelihoods, name: str) -> dict[str, float]:
    """Over all tokens under the empty name, and over those of each language in the order of their names."""
    figures: dict[str, Figures] = {"": likelihoods.total(), **dict(sorted(likelihoods.languages().items()))}
    return {language: float(getattr(each, name)) for language, each in figures.items()}


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("store", help="datastore")
    options.add_argument("texts", nargs="+", type=Path, metavar="TEXTFILE", help="held-out text, a language each")
    options.add_argument("--model", help="where the store's own model is now, if it has moved")
    options.add_argument("--device", default="cpu", help="default: %(default)s")
    options.add_argument("--precision", default="auto", help="default: %(default)s")
    options.add_argument("--lam", type=float, default=0.25, help="share of the neighbours (default: %(default)s)")
    options.add_argument("-k", type=int, nargs="+", default=[64, 1024], help="default: %(default)s")
    options.add_argument("--shares", type=float, nargs="+", default=list(SHARES), help="default: %(default)s")
    options.add_argument("--max-tokens", type=int, default=4000, help="of each file (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="chooses which documents (default: %(default)s)")
    chosen = options.parse_args(arguments)

    sums, spreads, rows = measured(chosen)
    some = next(iter(sums.values()))
    base = perplexities(some, "base")
    table = [row("-", "base model", "-", base, base[""])]
    claims = [Claim("rows", rows), Claim("tokens", some.tokens)]
    for k in chosen.k:
        found = {share: perplexities(sums[k, share], "knn") for each, share in sums if each == k}
        table += [row(str(k), share, f"{sums[k, share].temperature:.3g}", found[share], base[""]) for share in found]
        best = min(found, key=lambda share: found[share][""])
        claims += [
            Claim(f"k {k}: spread", spreads[k]),
            Claim(f"k {k}: best temperature", sums[k, best].temperature),
            Claim(f"k {k}: automatic/best", found[AUTO][""] / found[best][""], "<= 1.02"),
        ]
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
