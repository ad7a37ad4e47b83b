"""Tiny random sequence classifiers with a byte-level tokenizer, for every kind of architecture we test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

PAD_ID, CLS_ID, SEP_ID = 1, 0, 2
SPECIAL = {"<s>": CLS_ID, "<pad>": PAD_ID, "</s>": SEP_ID}
VOCABULARY = 259
MULTI_LABEL = "multi_label_classification"
SINGLE_LABEL = "single_label_classification"

ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "distilbert", "albert", "deberta-v2", "modernbert", "gpt2", "xlnet")


def tiny_classifier_folder(
    path: Path,
    labels: Sequence[str] = ("nontoxic", "toxic"),
    *,
    problem_type: str | None = None,
    architecture: str = "bert",
    window: int = 64,
    seed: int = 0,
    pad: bool = True,
    **sizes: Any,
) -> Path:
    """Write a random tiny classifier and its tokenizer as a Hugging Face folder; the same arguments, the same bytes.

    Args:
        path: The folder to create.
        labels: Their names, in the order of the logits.
        problem_type: As the configuration states it.
        architecture: One of ``ARCHITECTURES``, or ``bart``.
        window: Longest text in tokens, special tokens included.
        seed: Of the random weights.
        pad: Whether model and tokenizer have a padding token.
        sizes: Members of the configuration.

    Returns:
        ``path``.
    """
    path.mkdir(parents=True, exist_ok=True)
    config = AutoConfig.for_model(
        architecture,
        **_sizes(architecture, window),
        pad_token_id=PAD_ID if pad else None,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        problem_type=problem_type,
        **sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).eval()
        for name, weight in model.named_parameters():
            if "position" not in name and weight.dim() > 1:  # so that two texts give clearly different scores
                torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(path)
    tokenizer(window, pad=pad, token_types=architecture in {"bert", "albert"}).save_pretrained(path)
    return path


def tokenizer(window: int, *, pad: bool = True, token_types: bool = False) -> Any:
    """One token a byte, ``<s>`` before and ``</s>`` behind every text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = SPECIAL | {symbol: number + len(SPECIAL) for number, symbol in enumerate(alphabet)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(list(SPECIAL))
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", CLS_ID), ("</s>", SEP_ID)]
    )
    names = ["input_ids", "token_type_ids", "attention_mask"] if token_types else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>" if pad else None,
        model_max_length=window,
        model_input_names=names,
        clean_up_tokenization_spaces=False,
    )


def _sizes(architecture: str, window: int) -> dict[str, Any]:
    common: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": CLS_ID, "eos_token_id": SEP_ID}
    if architecture == "distilbert":
        return common | {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": window}
    if architecture == "gpt2":
        return common | {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": window}
    if architecture == "xlnet":
        return common | {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}
    if architecture == "bart":
        sides = {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in _BART.items()}
        return common | sides | {"d_model": 16, "max_position_embeddings": window}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    if architecture == "albert":
        sizes["embedding_size"] = 16
    if architecture == "deberta-v2":
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}  # type: ignore[dict-item]
    if architecture == "modernbert":
        sizes |= {"cls_token_id": CLS_ID, "sep_token_id": SEP_ID}
    # RoBERTa counts positions from behind the padding's id.
    extra = PAD_ID + 1 if "roberta" in architecture else 0
    return common | sizes | {"max_position_embeddings": window + extra}


_BART = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}
