"""A random tiny Llama as a ``.gguf`` file that transformers reads in no time."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tests.fakes.tiny import BOS_ID, EOS_ID, tiny_tokenizer

VOCABULARY = 259
WIDTH, LAYERS, HEADS = 16, 2, 2


def tiny_gguf(path: Path, *, seed: int = 0) -> Path:
    """Write the file; the same seed gives the same bytes.

    Its vocabulary is the byte tokenizer's and one merged token, for transformers asks for a merge.
    """
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(VOCABULARY)
    vocabulary = tiny_tokenizer().get_vocab()
    tokens = [*sorted(vocabulary, key=vocabulary.__getitem__), "Ġa"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in {"<eos>", "<bos>"} else 1 for token in tokens])
    writer.add_token_merges(["Ġ a"])
    writer.add_bos_token_id(BOS_ID)
    writer.add_eos_token_id(EOS_ID)
    shapes = {"token_embd": (VOCABULARY, WIDTH), "output_norm": (WIDTH,), "output": (VOCABULARY, WIDTH)}
    for layer in range(LAYERS):
        block = {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH)}
        block |= {"attn_k": (WIDTH // HEADS, WIDTH), "attn_v": (WIDTH // HEADS, WIDTH)}
        block |= {"ffn_gate": (2 * WIDTH, WIDTH), "ffn_up": (2 * WIDTH, WIDTH), "ffn_down": (WIDTH, 2 * WIDTH)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.3, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
