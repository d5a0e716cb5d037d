"""Repositories of Marian, M2M100, NLLB and T5 of random weights without torch, and what they compute, in numpy."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from models.convert.languages import M2M100_LANGUAGES
from models.convert.passage import PASSAGE
from tests.convert.decoder_repositories import write_json
from tests.convert.text_repositories import sentencepiece_file
from tests.convert.translator_repositories import POSITIONS, sentencepiece_model
from tests.convert.weight_files import Arrays, write_safetensors

WIDTH, INNER, LAYERS, HEADS, HEAD, BUCKETS, DISTANCE = 32, 64, 2, 4, 8, 32, 32
SIDES = ("encoder", "decoder")
T5_KINDS: Mapping[str, Mapping[str, Any]] = {
    "t5": {"feed_forward_proj": "relu"},
    "flan-t5": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "mt5": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "model_type": "mt5"},
}


def _numbers_of(seed: int = 3) -> Callable[..., np.ndarray]:
    random = np.random.default_rng(seed)

    def numbers(*shape: int, mean: float = 0.0, spread: float = 0.3) -> np.ndarray:
        return random.normal(mean, spread, shape).astype(np.float32)

    return numbers


def bart_arrays(rows: int, *, pre_norm: bool, bias: bool) -> dict[str, np.ndarray]:
    """Weights by the hub's names of Marian, or of M2M100 where norms come first."""
    numbers = _numbers_of()
    found = {"model.shared.weight": numbers(rows, WIDTH, spread=0.2)}
    if bias:
        found["final_logits_bias"] = numbers(1, rows)

    def linear(name: str, outputs: int, inputs: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = numbers(outputs, inputs), numbers(outputs, spread=0.1)

    def norm(name: str) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (
            numbers(WIDTH, mean=1, spread=0.1),
            numbers(WIDTH, spread=0.1),
        )

    for side in SIDES:
        if pre_norm:
            norm(f"model.{side}.layer_norm")
        for i in range(LAYERS):
            layer = f"model.{side}.layers.{i}."
            for kind in ("self_attn", "encoder_attn")[: 1 + (side == "decoder")]:
                for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    linear(f"{layer}{kind}.{name}", WIDTH, WIDTH)
                norm(f"{layer}{kind}_layer_norm")
            linear(f"{layer}fc1", INNER, WIDTH)
            linear(f"{layer}fc2", WIDTH, INNER)
            norm(f"{layer}final_layer_norm")
    return found


_BART = {
    "d_model": WIDTH, "encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS, "encoder_ffn_dim": INNER, "decoder_ffn_dim": INNER,
    "max_position_embeddings": POSITIONS, "scale_embedding": True,
}  # fmt: skip


def write_marian(folder: Path, targets: Sequence[str] = (), **stated: Any) -> tuple[Path, Arrays]:
    """An OPUS-MT repository, and its weights."""
    folder.mkdir(parents=True)
    sources = sentencepiece_model(folder / "source.spm", 260)
    others = sentencepiece_model(folder / "target.spm", 220, "bpe")
    pieces = [piece for piece in dict.fromkeys([*sources, *others]) if piece not in ("<s>", "</s>", "<unk>")]
    tokens = ["</s>", "<unk>", *(f">>{target}<<" for target in targets), *pieces, "<pad>"]
    write_json(folder / "vocab.json", {token: id for id, token in enumerate(tokens)})
    write_json(folder / "tokenizer_config.json", {"model_max_length": 512, **stated})
    pad = len(tokens) - 1
    about = {"architectures": ["MarianMTModel"], "model_type": "marian", "vocab_size": len(tokens), **_BART}
    special = {"pad_token_id": pad, "decoder_start_token_id": pad, "activation_function": "swish", "num_beams": 6}
    write_json(folder / "config.json", {**about, **special})
    arrays = bart_arrays(len(tokens), pre_norm=False, bias=True)
    write_safetensors(folder / "model.safetensors", arrays)
    (folder / "README.md").write_text("---\nlanguage:\n- en\n- de\nlicense: cc-by-4.0\n---\n")
    return folder, arrays


def write_m2m100(folder: Path) -> tuple[Path, Arrays]:
    """An M2M100 repository, and its weights."""
    folder.mkdir(parents=True)
    pieces = sentencepiece_model(folder / "sentencepiece.bpe.model", 260, "bpe")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *(p for p in pieces if p not in ("<s>", "</s>", "<unk>"))]
    write_json(folder / "vocab.json", {token: id for id, token in enumerate(tokens)})
    return _m2m100(folder, len(tokens) + len(M2M100_LANGUAGES) + 8)


def write_nllb(folder: Path) -> tuple[Path, Arrays]:
    """An NLLB repository, and its weights."""
    folder.mkdir(parents=True)
    made = tokenizers.Tokenizer(models.BPE(**{"unk_token": "<unk>", "fuse_unk": True}))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator([PASSAGE], trainers.BpeTrainer(vocab_size=300, special_tokens=specials))
    made.add_special_tokens(["ace_Arab", "ace_Latn", "deu_Latn", "eng_Latn", "zho_Hans", "zho_Hant", "<mask>"])
    made.save(str(folder / "tokenizer.json"))
    return _m2m100(folder, made.get_vocab_size() + 2)


def _m2m100(folder: Path, rows: int) -> tuple[Path, Arrays]:
    about = {"architectures": ["M2M100ForConditionalGeneration"], "model_type": "m2m_100", "vocab_size": rows, **_BART}
    special = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "activation_function": "relu"}
    write_json(folder / "config.json", {**about, **special})
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    arrays = bart_arrays(rows, pre_norm=True, bias=False)
    write_safetensors(folder / "model.safetensors", arrays)
    return folder, arrays


def write_t5(folder: Path, kind: str = "flan-t5") -> tuple[Path, Arrays]:
    """A T5 repository that has ``spiece.model`` alone, and its weights."""
    folder.mkdir(parents=True)
    sentencepiece_file(folder / "spiece.model")
    rows = 300 + 12
    gated = T5_KINDS[kind]["feed_forward_proj"] != "relu"
    about = {
        "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "vocab_size": rows, "d_model": WIDTH,
        "d_kv": HEAD, "d_ff": INNER, "num_layers": LAYERS, "num_heads": HEADS, "decoder_start_token_id": 0,
        "relative_attention_max_distance": DISTANCE, "eos_token_id": 1, **T5_KINDS[kind],
    }  # fmt: skip
    write_json(folder / "config.json", about)
    roles = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_json(folder / "tokenizer_config.json", {"model_max_length": 96, "extra_ids": 10, **roles})
    numbers = _numbers_of()
    arrays = {"shared.weight": numbers(rows, WIDTH, spread=1.0)}
    if kind != "t5":
        arrays["lm_head.weight"] = numbers(rows, WIDTH)
    for side in SIDES:
        bias = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        arrays[bias] = numbers(BUCKETS, HEADS, spread=0.5)
        for i in range(LAYERS):
            block = f"{side}.block.{i}.layer."
            kinds = ("SelfAttention", "EncDecAttention")[: 1 + (side == "decoder")]
            for at, name in enumerate(kinds):
                arrays[f"{block}{at}.layer_norm.weight"] = numbers(WIDTH, mean=1, spread=0.1)
                for part in "qkv":
                    arrays[f"{block}{at}.{name}.{part}.weight"] = numbers(HEADS * HEAD, WIDTH, spread=0.2)
                arrays[f"{block}{at}.{name}.o.weight"] = numbers(WIDTH, HEADS * HEAD)
            dense = f"{block}{len(kinds)}."
            arrays[f"{dense}layer_norm.weight"] = numbers(WIDTH, mean=1, spread=0.1)
            for part in ("wi_0", "wi_1") if gated else ("wi",):
                arrays[f"{dense}DenseReluDense.{part}.weight"] = numbers(INNER, WIDTH)
            arrays[f"{dense}DenseReluDense.wo.weight"] = numbers(WIDTH, INNER)
        arrays[f"{side}.final_layer_norm.weight"] = numbers(WIDTH, mean=1, spread=0.1)
    write_safetensors(folder / "model.safetensors", arrays)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder, arrays


Function = Callable[[np.ndarray], np.ndarray]
ACTIVATIONS: Mapping[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def attended(
    x: np.ndarray, keys: np.ndarray, project: Callable[[np.ndarray, int], np.ndarray], scale: float, bias: Any
) -> np.ndarray:
    """Attention of ``x`` to ``keys``; ``project`` is the four linear layers, ``bias`` is added to the scores."""
    q, k, v = (project(each, i).reshape(len(each), HEADS, -1).swapaxes(0, 1) for i, each in enumerate((x, keys, keys)))
    scores = q @ k.swapaxes(1, 2) * scale + bias
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (weights / weights.sum(-1, keepdims=True)) @ v
    return project(mixed.swapaxes(0, 1).reshape(len(x), -1), 3)


def causal(n: int) -> np.ndarray:
    """Minus infinity where a token would see a later one."""
    return np.triu(np.full((n, n), -np.inf), 1)


def bart_logits(config: Mapping[str, Any], arrays: Arrays, source: Sequence[int], made: Sequence[int]) -> np.ndarray:
    """The logits before each token that was made; ids count in the repository's vocabulary."""
    a = {name: array.astype(np.float64) for name, array in arrays.items()}
    first = config["model_type"] == "m2m_100"  # norms come first
    act = ACTIVATIONS[config["activation_function"]]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ a[f"{name}.weight"].T + a[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * a[f"{name}.weight"] + a[f"{name}.bias"]

    def positions(n: int) -> np.ndarray:
        half, begin = WIDTH // 2, 2 if first else 0
        rates = 10000.0 ** (-np.arange(half) / (half - 1)) if first else 10000.0 ** (-2 * np.arange(half) / WIDTH)
        angles = (begin + np.arange(n))[:, None] * rates
        return np.concatenate([np.sin(angles), np.cos(angles)], 1)

    def embedded(ids: Sequence[int]) -> np.ndarray:
        x = a["model.shared.weight"][list(ids)] * math.sqrt(WIDTH)
        if not first and ids is started:  # Marian's decoder starts from zeros
            x[0] = 0
        return x + positions(len(ids))

    def around(x: np.ndarray, name: str, inner: Function) -> np.ndarray:
        return x + inner(norm(x, name)) if first else norm(x + inner(x), name)

    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    started = [config["decoder_start_token_id"], *made[:-1]]
    states: dict[str, np.ndarray] = {}
    for side, ids in zip(SIDES, (source, started), strict=True):
        x = embedded(ids)
        mask = causal(len(ids)) if side == "decoder" else 0.0
        for i in range(LAYERS):
            layer = f"model.{side}.layers.{i}."
            for kind in ("self_attn", "encoder_attn")[: 1 + (side == "decoder")]:

                def inner(x: np.ndarray, kind: str = kind, layer: str = layer, mask: Any = mask) -> np.ndarray:
                    cross = kind == "encoder_attn"
                    keys = states["encoder"] if cross else x
                    project = lambda y, at: linear(y, f"{layer}{kind}.{names[at]}")  # noqa: E731
                    return attended(x, keys, project, HEAD**-0.5, 0.0 if cross else mask)

                x = around(x, f"{layer}{kind}_layer_norm", inner)
            x = around(
                x,
                f"{layer}final_layer_norm",
                lambda y, layer=layer: linear(act(linear(y, f"{layer}fc1")), f"{layer}fc2"),
            )
        states[side] = norm(x, f"model.{side}.layer_norm") if first else x
    return states["decoder"] @ a["model.shared.weight"].T + a.get("final_logits_bias", np.zeros(1))


def t5_logits(config: Mapping[str, Any], arrays: Arrays, source: Sequence[int], made: Sequence[int]) -> np.ndarray:
    """The logits before each token that was made."""
    a = {name: array.astype(np.float64) for name, array in arrays.items()}
    gated = config["feed_forward_proj"] != "relu"

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * a[f"{name}.weight"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        if gated:
            inner = ACTIVATIONS["gelu_new"](x @ a[f"{name}.wi_0.weight"].T) * (x @ a[f"{name}.wi_1.weight"].T)
        else:
            inner = np.maximum(x @ a[f"{name}.wi.weight"].T, 0)
        return inner @ a[f"{name}.wo.weight"].T

    states: dict[str, np.ndarray] = {}
    started = [config["decoder_start_token_id"], *made[:-1]]
    for side, ids in zip(SIDES, (source, started), strict=True):
        x = a["shared.weight"][list(ids)]
        table = a[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        bias = table[_buckets(len(ids), both=side == "encoder")].transpose(2, 0, 1)
        bias = bias + causal(len(ids)) if side == "decoder" else bias
        for i in range(LAYERS):
            block = f"{side}.block.{i}.layer."
            kinds = ("SelfAttention", "EncDecAttention")[: 1 + (side == "decoder")]
            for at, kind in enumerate(kinds):
                inner = norm(x, f"{block}{at}.layer_norm")
                name = f"{block}{at}.{kind}"
                project = lambda y, place, name=name: y @ a[f"{name}.{'qkvo'[place]}.weight"].T  # noqa: E731
                x = x + attended(inner, states["encoder"] if at else inner, project, 1.0, 0.0 if at else bias)
            last = f"{block}{len(kinds)}"
            x = x + dense(norm(x, f"{last}.layer_norm"), f"{last}.DenseReluDense")
        states[side] = norm(x, f"{side}.final_layer_norm")
    if "lm_head.weight" in a:
        return states["decoder"] @ a["lm_head.weight"].T
    return states["decoder"] * WIDTH**-0.5 @ a["shared.weight"].T


def _buckets(n: int, *, both: bool) -> np.ndarray:
    distance = np.arange(n)[None, :] - np.arange(n)[:, None]
    half = BUCKETS // 2 if both else BUCKETS
    far = np.abs(distance) if both else np.maximum(-distance, 0)
    exact = half // 2
    logs = exact + np.log(np.maximum(far, 1) / exact) / math.log(DISTANCE / exact) * (half - exact)
    near = np.where(far < exact, far, np.minimum(logs.astype(int), half - 1))
    return near + (np.where(distance > 0, half, 0) if both else 0)


def config_of(folder: Path) -> dict[str, Any]:
    """The configuration of a repository."""
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found
