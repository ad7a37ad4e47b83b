"""Claim: scoring texts with a classifier loses at most a tenth of what the classifier computes on perfect batches.

    python benchmarks/classifier_throughput.py TEXTFILE...

Texts: one document a line, of very unequal length, such as what `debian_text.py` writes; each is cut at a random length
so that short ones are as frequent as in generations. The classifier has random weights (its speed does not depend on
them) and the size of a small BERT. `goodctl` gets the texts in their random order and tokenises, sorts, batches, pads,
computes and maps the labels. `perfect` gets the same tokens as ready tensors without any padding, in batches that each
fill the same budget: sorted by length, the rows of a batch all have the mean length of its texts. By turns, the
shortest time of each; also the processor time, which other programs on the machine disturb less.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import Claim, alternate, paragraphs, parser, report
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from goodctl.models.quiet import quiet
from goodctl.scoring.classifier import ClassifierScorer, default_batch_tokens, open_scorer
from goodctl.scoring.protocol import Request, Scored, ScorerOptions

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WINDOW = 512


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("texts", nargs="+", type=Path, metavar="TEXTFILE", help="one document a line; may be .gz")
    options.add_argument("--count", type=int, default=1024, help="texts (default: %(default)s)")
    options.add_argument("--layers", type=int, default=6, help="default: %(default)s")
    options.add_argument("--width", type=int, default=384, help="default: %(default)s")
    options.add_argument("--vocabulary", type=int, default=30_000, help="default: %(default)s")
    options.add_argument("--device", default="cpu", help="default: %(default)s")
    options.add_argument("--batch-tokens", type=int, nargs="+", help="budgets to try (default: the device's own)")
    options.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    lines = paragraphs(chosen.texts, chosen.seed)
    texts = cut(lines, chosen.count, chosen.seed)
    budgets = chosen.batch_tokens or [default_batch_tokens(torch.device(chosen.device))]
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        write_classifier(Path(folder), lines, chosen)
        for budget in budgets:
            asked = ScorerOptions(device=chosen.device, batch_tokens=budget)
            scorer = open_scorer(folder, asked)
            row, ratio = measured(scorer, texts, budget, chosen.repeats)
            rows.append(row)
            name = "goodctl/perfect" if len(budgets) == 1 else f"goodctl/perfect, {budget}"
            claims.append(Claim(name, ratio, ">= 0.9" if len(budgets) == 1 else None))
            scorer.close()
    report(chosen, rows, claims)


def cut(lines: list[str], count: int, seed: int) -> list[str]:
    """Beginnings of the lines, from a few words to all of it, as many as are asked for."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        words = lines[number % len(lines)].split()
        found.append(" ".join(words[: max(1, int(len(words) * chance.random()))]) or "empty")
    return found


def write_classifier(folder: Path, lines: list[str], chosen: Any) -> None:
    """A random BERT with a word-piece tokenizer that is trained on the texts."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=chosen.vocabulary, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=WINDOW, **names).save_pretrained(folder)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=chosen.width,
        num_hidden_layers=chosen.layers,
        num_attention_heads=max(1, chosen.width // 64),
        intermediate_size=4 * chosen.width,
        max_position_embeddings=WINDOW,
        id2label={0: "nontoxic", 1: "toxic"},
        pad_token_id=0,
    )
    with quiet():
        BertForSequenceClassification(config).save_pretrained(folder)


def measured(scorer: ClassifierScorer, texts: list[str], budget: int, repeats: int) -> tuple[dict[str, Any], float]:
    """A row of the table, and the ratio of both speeds."""
    loaded = scorer._loaded
    lengths = [len(ids) for ids in loaded.tokenizer(texts, truncation=True, max_length=WINDOW)["input_ids"]]
    tokens, mean = sum(lengths), round(sum(lengths) / len(lengths))
    batches = perfect_batches(lengths, budget, loaded)

    def goodctl() -> None:
        found = [outcome for _, outcome in scorer.outcomes(Request(text) for text in texts)]
        assert all(isinstance(outcome, Scored) for outcome in found)

    def perfect() -> None:
        with torch.inference_mode():
            for batch in batches:
                loaded.model(input_ids=batch, attention_mask=torch.ones_like(batch)).logits.cpu()

    spent = dict.fromkeys(("goodctl", "perfect"), float("inf"))

    def timed(name: str, run: Callable[[], None]) -> None:
        began = time.process_time()
        run()
        spent[name] = min(spent[name], time.process_time() - began)

    seconds = alternate(
        {"goodctl": lambda: timed("goodctl", goodctl), "perfect": lambda: timed("perfect", perfect)}, repeats
    )
    row = {
        "budget": budget,
        "texts": len(texts),
        "tokens": tokens,
        "shortest": min(lengths),
        "mean": mean,
        "longest": max(lengths),
        "goodctl, tokens/s": tokens / seconds["goodctl"],
        "perfect, tokens/s": tokens / seconds["perfect"],
        "goodctl, processor s": spent["goodctl"],
        "perfect, processor s": spent["perfect"],
    }
    return row, seconds["perfect"] / seconds["goodctl"]


def perfect_batches(lengths: list[int], budget: int, loaded: Any) -> list[torch.Tensor]:
    """The same tokens as rows (B, T) of the same lengths, but for each batch having but one."""
    batches: list[list[int]] = [[]]
    for length in sorted(lengths, reverse=True):
        if batches[-1] and sum(batches[-1]) + length > budget:
            batches.append([])
        batches[-1].append(length)
    size = loaded.model.config.vocab_size
    return [
        torch.randint(len(SPECIAL), size, (len(batch), round(sum(batch) / len(batch))), device=loaded.device)
        for batch in batches
    ]


if __name__ == "__main__":
    main()
