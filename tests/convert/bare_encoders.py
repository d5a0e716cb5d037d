"""Encoder repositories of random weights written without torch, and what they compute, in numpy by the hub's names."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.engines.ct2 import EncoderEngine
from server.engines.kinds import EngineSpec
from server.engines.rows import Encoded, EncoderRow
from tests.convert.decoder_repositories import write_json
from tests.convert.encoder_repositories import byte_level, unigram, word_piece
from tests.convert.weight_files import Arrays, write_safetensors

TEXTS = ["The harbour was quiet when the ferry came in.", "A dog slept. " * 6, "¿Dónde está la biblioteca?"]
WIDTH, INNER, LAYERS, HEADS, ROWS, POSITIONS, BUCKETS = 48, 64, 2, 4, 408, 128, 32

_BERT = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
         "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"]  # fmt: skip
_DISTIL = ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
           "ffn.lin1", "ffn.lin2", "output_layer_norm"]  # fmt: skip
_MPNET = ["attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o", "attention.LayerNorm",
          *_BERT[5:]]  # fmt: skip
NAMES = {"bert": _BERT, "electra": _BERT, "distilbert": _DISTIL, "mpnet": _MPNET}
CLASSES = {
    "bert": "Bert", "camembert": "Camembert", "distilbert": "DistilBert", "electra": "Electra", "mpnet": "MPNet",
    "roberta": "Roberta", "xlm-roberta": "XLMRoberta",
}  # fmt: skip
FROM_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")
_UNTYPED = ("distilbert", "mpnet")
_HEADS = {"bert": ("pooler.dense", "classifier"), "distilbert": ("pre_classifier", "classifier")}
SIZES = {"hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}


def prefix_of(kind: str) -> str:
    """What names of the body begin with in a model with a head."""
    return "roberta." if kind in ("camembert", "xlm-roberta") else f"{kind}."


def _layer(kind: str, i: int) -> str:
    return f"transformer.layer.{i}." if kind == "distilbert" else f"encoder.layer.{i}."


def arrays_of(kind: str, labels: int = 0, seed: int = 0, tags: int = 0) -> dict[str, np.ndarray]:
    """Random weights of a body, of a classifier of so many labels, or of a token classifier of so many tags."""
    random = np.random.default_rng(seed)

    def numbers(*shape: int, mean: float = 0.0, spread: float = 0.1) -> np.ndarray:
        return random.normal(mean, spread, shape).astype(np.float32)

    def linear(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        return {f"{name}.weight": numbers(rows, columns, spread=0.3), f"{name}.bias": numbers(rows)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": numbers(WIDTH, mean=1.0), f"{name}.bias": numbers(WIDTH)}

    unused = 2 if kind in FROM_PADDING else 0
    found = {
        "embeddings.word_embeddings.weight": numbers(ROWS, WIDTH, spread=0.3),
        "embeddings.position_embeddings.weight": numbers(POSITIONS + unused, WIDTH, spread=0.3),
        **norm("embeddings.LayerNorm"),
    }
    if kind not in _UNTYPED:
        types = 1 if unused else 2
        found["embeddings.token_type_embeddings.weight"] = numbers(types, WIDTH, spread=0.3)
    if kind == "mpnet":
        found["encoder.relative_attention_bias.weight"] = numbers(BUCKETS, HEADS, spread=0.5)
    for i in range(LAYERS):
        *linears, first, norm1, up, down, norm2 = (f"{_layer(kind, i)}{name}" for name in _order(kind))
        for name in (*linears, first):
            found |= linear(name, WIDTH, WIDTH)
        found |= linear(up, INNER, WIDTH) | linear(down, WIDTH, INNER) | norm(norm1) | norm(norm2)
    if labels:
        dense, out = _HEADS.get(kind, ("classifier.dense", "classifier.out_proj"))
        head = linear(dense, WIDTH, WIDTH) | linear(out, labels, WIDTH)
        bodies = [*found, *(name for name in head if name.startswith("pooler"))]
        found = {**found, **head}
        found = {f"{prefix_of(kind)}{name}" if name in bodies else name: array for name, array in found.items()}
    if tags:
        return {f"{prefix_of(kind)}{name}": array for name, array in found.items()} | linear("classifier", tags, WIDTH)
    return found


def _order(kind: str) -> list[str]:
    return NAMES.get(kind, _BERT)


def write(folder: Path, kind: str, *, labels: Sequence[str] = (), **config: Any) -> Path:
    """Write a repository of a family."""
    folder.mkdir(parents=True)
    padded = kind in FROM_PADDING
    sizes: dict[str, Any] = {**SIZES, "hidden_act": "gelu", "type_vocab_size": 1 if padded else 2}
    if kind == "distilbert":
        sizes = {"dim": WIDTH, "hidden_dim": INNER, "n_layers": LAYERS, "n_heads": HEADS, "activation": "gelu"}
    if kind == "electra":
        sizes["embedding_size"] = WIDTH
    made = (byte_level if kind == "roberta" else unigram if padded and kind != "mpnet" else word_piece)()
    made.save(str(folder / "tokenizer.json"))
    about = {
        "architectures": [f"{CLASSES[kind]}{'ForSequenceClassification' if labels else 'Model'}"],
        "model_type": kind,
        "vocab_size": ROWS,
        "max_position_embeddings": POSITIONS + (2 if padded else 0),
        "pad_token_id": 1 if padded else 0,
        "layer_norm_eps": 1e-5,
        **sizes,
        **({"id2label": {str(i): label for i, label in enumerate(labels)}} if labels else {}),
    }
    write_json(folder / "config.json", about | config)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 10**30})
    write_safetensors(folder / "model.safetensors", arrays_of(kind, len(labels)))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def write_tagger(folder: Path, kind: str, tags: Sequence[str], **config: Any) -> Path:
    """Write a repository of a token classifier."""
    about: dict[str, Any] = {
        "architectures": [f"{CLASSES[kind]}ForTokenClassification"],
        "id2label": {str(i): tag for i, tag in enumerate(tags)},
    }
    write(folder, kind, **(about | config))
    write_safetensors(folder / "model.safetensors", arrays_of(kind, tags=len(tags)))
    return folder


def hidden(
    kind: str, arrays: Arrays, ids: Sequence[int], epsilon: float = 1e-5, types: Sequence[int] = ()
) -> np.ndarray:
    """The last hidden states of a body, shape (tokens, width), in float64."""
    a = {name.removeprefix(prefix_of(kind)): array.astype(np.float64) for name, array in arrays.items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ a[f"{name}.weight"].T + a[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return centred / deviation * a[f"{name}.weight"] + a[f"{name}.bias"]

    n = len(ids)
    first = 2 if kind in FROM_PADDING else 0
    x = a["embeddings.word_embeddings.weight"][list(ids)]
    x = x + a["embeddings.position_embeddings.weight"][first : first + n]
    if kind not in _UNTYPED:
        table = a["embeddings.token_type_embeddings.weight"]
        x = x + table[list(types) if types and len(table) > 1 else 0]
    x = norm(x, "embeddings.LayerNorm")
    bias = a["encoder.relative_attention_bias.weight"][_buckets(n)].transpose(2, 0, 1) if kind == "mpnet" else 0.0
    for i in range(LAYERS):
        query, key, value, out, norm1, up, down, norm2 = (f"{_layer(kind, i)}{name}" for name in _order(kind))
        q, k, v = (linear(x, name).reshape(n, HEADS, -1).swapaxes(0, 1) for name in (query, key, value))
        scores = q @ k.swapaxes(1, 2) / math.sqrt(WIDTH // HEADS) + bias
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True)) @ v
        x = norm(x + linear(mixed.swapaxes(0, 1).reshape(n, WIDTH), out), norm1)
        inner = linear(x, up)
        inner = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        x = norm(x + linear(inner, down), norm2)
    return x


def _buckets(n: int) -> np.ndarray:
    """T5's and MPNet's kinds of distance: near ones exactly, far ones by their logarithm, each way its own."""
    distance = np.arange(n)[None, :] - np.arange(n)[:, None]
    half, exact = BUCKETS // 2, BUCKETS // 4
    far = np.abs(distance)
    logs = exact + np.log(np.maximum(far, 1) / exact) / math.log(128 / exact) * (half - exact)
    return np.where(distance > 0, half, 0) + np.where(far < exact, far, np.minimum(logs.astype(int), half - 1))


class Sink:
    """An outbox that keeps the vectors."""

    def __init__(self) -> None:
        self.vectors: dict[int, np.ndarray] = {}

    def done(self, row: int, outcome: Encoded) -> None:
        self.vectors[row] = outcome.vector


def head_logits(kind: str, arrays: Arrays, states: np.ndarray) -> np.ndarray:
    """The logits of a head, of shape (texts, labels), for the first tokens' hidden states."""
    dense, out = _HEADS.get(kind, ("classifier.dense", "classifier.out_proj"))
    dense = "bert.pooler.dense" if kind == "bert" else dense
    inner = states @ arrays[f"{dense}.weight"].T + arrays[f"{dense}.bias"]
    gelu = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
    inner = np.maximum(inner, 0) if kind == "distilbert" else gelu if kind == "electra" else np.tanh(inner)
    logits: np.ndarray = inner @ arrays[f"{out}.weight"].T + arrays[f"{out}.bias"]
    return logits


def vectors_of(
    folder: Path, rows: Sequence[Sequence[int]], pooling: Any = "mean", types: Sequence[Sequence[int]] = ()
) -> np.ndarray:
    """What the server's own engine gives for rows of ids, all in one batch."""
    engine, sink = EncoderEngine(EngineSpec("ct2-encoder", str(folder))), Sink()
    kinds = types or [()] * len(rows)
    given = [EncoderRow(row, pooling, some) for row, some in zip(rows, kinds, strict=True)]
    engine.run(given, sink)  # type: ignore[arg-type]
    engine.close()
    return np.stack([sink.vectors[i] for i in range(len(rows))])
