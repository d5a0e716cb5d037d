"""GGUF files for llama.cpp: the same random shapes in Q8_0 (by the ``gguf`` package), and real ones in other types."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from load_tests.step.shapes import DEVIATION, INTEGERS_DEVIATION, Shape


def write(path: Path, shape: Shape, *, words: bool = False) -> Path:
    """Write the file once; one already there is taken as it is.

    Args:
        path: of the file.
        shape: the sizes.
        words: give each token a word, as a server wants to send text.
    """
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
    if words:
        controls, texts = ["<unk>", "<s>", "</s>"], [f"\u2581t{i}" for i in range(3, shape.vocabulary)]
        kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
        out.add_tokenizer_model("llama")
        out.add_token_list([*controls, *texts])
        out.add_token_scores([0.0] * shape.vocabulary)
        out.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * len(texts)])
        out.add_unk_token_id(0)
        out.add_bos_token_id(1)
        out.add_eos_token_id(2)
    else:
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


def silence(library: Any) -> Any:
    """Let llama.cpp say nothing, as long as what comes back is kept."""
    silent = library.llama_log_callback(lambda *_: None)
    library.llama_log_set(silent, ctypes.c_void_p(0))
    return silent


def requantize(file: Path, path: Path, kind: str) -> Path:
    """Write a model's file with weights of another type, as llama.cpp makes it; one already there is taken as it is.

    Args:
        file: any GGUF file; its own weights are dequantized.
        path: of the new file.
        kind: ``Q8_0``, ``Q4_0``, ``Q4_K_M`` ...
    """
    if path.exists():
        return path
    import llama_cpp

    silent = silence(llama_cpp)
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    options.allow_requantize = True
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    failed = llama_cpp.llama_model_quantize(str(file).encode(), str(unfinished).encode(), options)
    assert not failed, f"llama.cpp could not write {path.name}"
    assert silent
    return unfinished.rename(path)
