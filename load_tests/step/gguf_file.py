"""The same random shapes as a GGUF file of Q8_0 weights, for llama.cpp. Needs the ``gguf`` package."""

from pathlib import Path
from typing import Any

import numpy as np

from load_tests.step.shapes import DEVIATION, INTEGERS_DEVIATION, Shape


def write(path: Path, shape: Shape) -> Path:
    """Write the file once; one already there is taken as it is."""
    if path.exists():
        return path
    import gguf

    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    out: Any = gguf.GGUFWriter(str(path), "qwen2" if shape.bias else "llama")
    out.add_block_count(shape.layers)
    out.add_context_length(4096)
    out.add_embedding_length(shape.width)
    out.add_feed_forward_length(shape.inner)
    out.add_head_count(shape.heads)
    out.add_head_count_kv(shape.kv_heads)
    out.add_key_length(shape.head_dim)
    out.add_value_length(shape.head_dim)
    out.add_rope_dimension_count(shape.head_dim)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(shape.vocabulary)
    out.add_tokenizer_model("no_vocab")

    def matrix(name: str, outputs: int, inputs: int) -> None:
        blocks = np.zeros((outputs, inputs // 32), [("scale", "<f2"), ("weights", "i1", 32)])
        blocks["scale"] = DEVIATION / np.sqrt(inputs) / INTEGERS_DEVIATION
        blocks["weights"] = random.integers(-127, 128, blocks["weights"].shape, np.int8)
        out.add_tensor(f"{name}.weight", blocks.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)

    def vector(name: str, value: float, size: int) -> None:
        out.add_tensor(name, np.full(size, value, np.float32))

    matrix("token_embd", shape.vocabulary, shape.width)
    if not shape.tied:
        matrix("output", shape.vocabulary, shape.width)
    vector("output_norm.weight", 1, shape.width)
    for n in range(shape.layers):
        layer = f"blk.{n}"
        for name, size in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
            matrix(f"{layer}.attn_{name}", size * shape.head_dim, shape.width)
            if shape.bias:
                vector(f"{layer}.attn_{name}.bias", 0, size * shape.head_dim)
        matrix(f"{layer}.attn_output", shape.width, shape.heads * shape.head_dim)
        matrix(f"{layer}.ffn_gate", shape.inner, shape.width)
        matrix(f"{layer}.ffn_up", shape.inner, shape.width)
        matrix(f"{layer}.ffn_down", shape.width, shape.inner)
        vector(f"{layer}.attn_norm.weight", 1, shape.width)
        vector(f"{layer}.ffn_norm.weight", 1, shape.width)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path
