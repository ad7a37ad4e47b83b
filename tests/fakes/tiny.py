"""A random causal language model of a few kilobytes with a byte-level tokenizer, for every architecture we test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

EOS = "<eos>"
BOS = "<bos>"
EOS_ID = 256
BOS_ID = 257
VOCABULARY = 258

ARCHITECTURES = (
    "gpt2",
    "gpt_neox",
    "opt",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "bloom",
    "phi3",
    "cohere",
    "xglm",
    "falcon",
)

_HEADS = 2
# Large enough that two tokens give clearly different hidden states.
_SPREAD = 0.3
_MODEL_TYPES = {"gemma3": "gemma3_text"}


def tiny_model_folder(
    path: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    width: int = 16,
    window: int = 64,
    bos: bool = False,
    architecture: str = "gpt2",
) -> Path:
    """Write a random tiny model and its tokenizer as a Hugging Face folder; the same arguments give the same bytes.

    Args:
        path: The folder to create.
        seed: Seed of the random weights.
        layers: Number of decoder layers.
        width: Hidden size; a multiple of 4.
        window: Longest input in tokens (bloom, which has no such limit, ignores it).
        bos: Whether the tokenizer puts ``<bos>`` before every text.
        architecture: One of ``ARCHITECTURES``.

    Returns:
        ``path``.
    """
    path.mkdir(parents=True, exist_ok=True)
    tiny_model(seed=seed, layers=layers, width=width, window=window, architecture=architecture).save_pretrained(path)
    tiny_tokenizer(bos=bos, window=window).save_pretrained(path)
    return path


def tiny_model(*, seed: int = 0, layers: int = 2, width: int = 16, window: int = 64, architecture: str = "gpt2") -> Any:
    """The model that ``tiny_model_folder`` saves: float32, on the CPU, in evaluation mode."""
    config = AutoConfig.for_model(
        _MODEL_TYPES.get(architecture, architecture), **_sizes(architecture, layers, width, window)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def tiny_tokenizer(*, bos: bool = False, window: int = 64) -> Any:
    """One token a byte (ids 0 to 255), ``<eos>`` (256) and ``<bos>`` (257)."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([EOS, BOS])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, BOS_ID)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        bos_token=BOS if bos else None,
        model_max_length=window,
        clean_up_tokenization_spaces=False,
    )


def _sizes(architecture: str, layers: int, width: int, window: int) -> dict[str, Any]:
    """The configuration of a tiny model under the names that its architecture uses."""
    common: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": None,
    }
    sizes: dict[str, Any]
    if architecture == "gpt2":
        sizes = {"n_embd": width, "n_layer": layers, "n_head": _HEADS, "n_positions": window}
        return common | sizes | {"initializer_range": _SPREAD}
    if architecture == "bloom":
        sizes = {"hidden_size": width, "n_layer": layers, "n_head": _HEADS}
        return common | sizes | {"initializer_range": _SPREAD}
    if architecture == "xglm":
        sizes = {"d_model": width, "num_layers": layers, "attention_heads": _HEADS, "ffn_dim": 2 * width}
        # XGLM's position table has a row for padding under this id, so it cannot do without one.
        return common | sizes | {"max_position_embeddings": window, "init_std": _SPREAD, "pad_token_id": 1}
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS,
        "max_position_embeddings": window,
    }
    if architecture == "opt":
        return common | sizes | {"ffn_dim": 2 * width, "word_embed_proj_dim": width, "init_std": _SPREAD}
    sizes["initializer_range"] = _SPREAD
    if architecture == "falcon":
        return common | sizes | {"ffn_hidden_size": 2 * width}
    sizes["intermediate_size"] = 2 * width
    if architecture == "gpt_neox":
        return common | sizes
    sizes |= {"num_key_value_heads": 1, "head_dim": width // _HEADS}
    if architecture in {"gemma2", "gemma3"}:
        sizes["query_pre_attn_scalar"] = width // _HEADS
    if architecture in {"mistral", "gemma2", "gemma3"}:
        sizes["sliding_window"] = max(4, window // 4)
    if architecture == "phi3":
        sizes["original_max_position_embeddings"] = window
    return common | sizes
