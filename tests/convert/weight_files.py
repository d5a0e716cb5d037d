"""Files of weights as others write them: safetensors and GGUF, of random numbers; and whole repositories and GGUFs of
tiny decoders. No torch is needed.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from tests.convert.decoder_repositories import CHAT_ML, byte_level, write_json

Arrays = Mapping[str, np.ndarray]
NUMBERS = np.random.default_rng(0).normal(0, 1, (6, 8)).astype(np.float32)
WIDTH, INNER, LAYERS, HEADS, KV_HEADS, DIM = 64, 96, 2, 4, 2, 16

_KINDS = {"float64": "F64", "float32": "F32", "float16": "F16", "uint16": "BF16", "int8": "I8"}
_GGUF_TYPES = {"float32": 0, "float16": 1, "uint16": 30}


def write_safetensors(file: Path, arrays: Arrays) -> Path:
    """A safetensors file; uint16 stands for bfloat16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, array in arrays.items():
        end = at + array.nbytes
        header[name] = {"dtype": _KINDS[array.dtype.name], "shape": list(array.shape), "data_offsets": [at, end]}
        at = end
    written = json.dumps(header).encode()
    file.write_bytes(len(written).to_bytes(8, "little") + written + b"".join(a.tobytes() for a in arrays.values()))
    return file


def write_gguf(file: Path, facts: Mapping[str, Any], arrays: Arrays, blocks: Mapping[str, int] | None = None) -> Path:
    """A GGUF file.

    Args:
        file: where to.
        facts: its keys; an ``np.uint32`` or ``np.float32`` is one, a list has one type.
        arrays: its tensors, sizes outermost first. Those in ``blocks`` are bytes of blocks.
        blocks: the type of such a tensor; its rows are of ``uint8``, and as many numbers as 32 a block make.
    """
    blocks = blocks or {}
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(arrays), len(facts)))
    for key, value in facts.items():
        out += _string(key) + _value(value)
    data = bytearray()
    for name, array in arrays.items():
        shape = array.shape if name not in blocks else (array.shape[0], array.shape[1] // 34 * 32)
        kind = blocks.get(name, _GGUF_TYPES.get(array.dtype.name, 0))
        out += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind, len(data))
        data += array.tobytes()
        data += bytes(-len(data) % 32)
    out += bytes(-len(out) % 32)
    file.write_bytes(bytes(out + data))
    return file


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    of = 8 if isinstance(value[0], str) else 6 if isinstance(value[0], float) else 5
    written = b"".join(_string(v) if of == 8 else struct.pack("<f" if of == 6 else "<i", v) for v in value)
    return struct.pack("<IIQ", 9, of, len(value)) + written


def llama_tensors(vocabulary: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights of a tiny Llama, by the hub's names."""
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return random.normal(0, 0.8 / shape[-1] ** 0.5, shape).astype(np.float32)

    found = {"model.embed_tokens.weight": random.normal(0, 1, (vocabulary, WIDTH)).astype(np.float32)}
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        for name, rows in (("q_proj", HEADS * DIM), ("k_proj", KV_HEADS * DIM), ("v_proj", KV_HEADS * DIM)):
            found[f"{layer}self_attn.{name}.weight"] = matrix(rows, WIDTH)
        found[f"{layer}self_attn.o_proj.weight"] = matrix(WIDTH, HEADS * DIM)
        for name, shape in (("gate_proj", (INNER, WIDTH)), ("up_proj", (INNER, WIDTH)), ("down_proj", (WIDTH, INNER))):
            found[f"{layer}mlp.{name}.weight"] = matrix(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{layer}{name}.weight"] = random.normal(1, 0.1, WIDTH).astype(np.float32)
    return found | {
        "model.norm.weight": random.normal(1, 0.1, WIDTH).astype(np.float32),
        "lm_head.weight": matrix(vocabulary, WIDTH),
    }


def llama_config(vocabulary: int) -> dict[str, Any]:
    """The configuration of `llama_tensors`."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": DIM,
        "max_position_embeddings": 512,
        "rms_norm_eps": 9.999999974752427e-07,  # what float32 keeps of 1e-6, as a GGUF has it
        "rope_theta": 10000.0,
    }


def write_llama(folder: Path) -> Path:
    """A repository of a tiny Llama."""
    folder.mkdir(parents=True)
    made = byte_level()
    made.save(str(folder / "tokenizer.json"))
    rows = made.get_vocab_size()
    write_json(folder / "config.json", llama_config(rows))
    write_json(folder / "tokenizer_config.json", {"bos_token": "<s>", "eos_token": "</s>", "chat_template": CHAT_ML})
    write_safetensors(folder / "model.safetensors", llama_tensors(rows))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def llama_facts(made: tokenizers.Tokenizer | None = None) -> dict[str, Any]:
    """What the GGUF of the same model says."""
    made = made or byte_level()
    table = json.loads(made.to_str())
    special = {token["id"]: 3 if token["special"] else 4 for token in table["added_tokens"]}
    rows = made.get_vocab_size()
    return {
        "general.architecture": "llama",
        "general.license": "apache-2.0",
        "llama.block_count": LAYERS,
        "llama.context_length": 512,
        "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": DIM,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [made.id_to_token(id) for id in range(rows)],
        "tokenizer.ggml.token_type": [special.get(id, 1) for id in range(rows)],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in table["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.chat_template": CHAT_ML,
    }


NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.layers.": "blk.",
}
"""llama.cpp's names for the hub's."""


def gguf_name(name: str) -> str:
    """llama.cpp's name of a tensor."""
    for hub, theirs in NAMES.items():
        name = name.replace(hub, theirs)
    return name


def permuted(array: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys as llama.cpp's converter orders Llama's."""
    return array.reshape(heads, 2, len(array) // heads // 2, -1).swapaxes(1, 2).reshape(array.shape)


def llama_gguf_tensors(vocabulary: int) -> dict[str, np.ndarray]:
    """The same weights as llama.cpp's converter writes them."""
    found = {}
    for name, array in llama_tensors(vocabulary).items():
        heads = HEADS if "q_proj" in name else KV_HEADS
        found[gguf_name(name)] = permuted(array, heads) if "q_proj" in name or "k_proj" in name else array
    return found


def write_llama_gguf(file: Path, **facts: Any) -> Path:
    """A GGUF of a tiny Llama, the same as `write_llama`'s; keywords change its keys (``__`` stands for a dot)."""
    about = llama_facts() | {key.replace("__", "."): value for key, value in facts.items()}
    return write_gguf(file, about, llama_gguf_tensors(len(about["tokenizer.ggml.tokens"])))
