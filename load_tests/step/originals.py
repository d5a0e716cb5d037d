"""The step engine against the originals: transformers' models, small and random, converted as `hearth convert` does.

    python -m load_tests.step.originals          # a table; wants torch and transformers beside the project

Two distances, each the root mean square of the difference over that of the logits. From the *rounded* original, whose
weights are the int8 ones as floats: what is left is the rounding of activations and of the cache, so anything more is
a mistake. From the original itself: what int8 costs on a model whose weights are noise, which is the worst case.
``tests/engines/step/test_originals.py`` holds the distances to bounds.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.convert.architectures import page_of
from models.convert.decoder_files import write_decoder, write_facts
from models.convert.opened import open_path
from models.recipes.ctranslate2_file import read_ctranslate2_weights
from server.engines.step.support import config, core

Floats = npt.NDArray[np.float32]
VOCABULARY, LAYERS, HEADS, KV_HEADS, DIM, WIDTH = 211, 4, 4, 2, 16, 96
PROMPT_TOKENS, GREEDY_TOKENS, CONTEXT_TOKENS = 160, 60, 256
WINDOW = 24
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
KINDS_IN_TURN = ["sliding_attention", "full_attention"] * (LAYERS // 2)
NO_HEAD_SIZES = {"head_dim": None, "num_key_value_heads": None, "hidden_size": HEADS * DIM}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64}
GEMMA3_ROPE = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
}


@dataclass(frozen=True, slots=True)
class Original:
    """A family's configuration class and what differs from a small decoder."""

    config: str
    options: Mapping[str, Any] = field(default_factory=dict)


ORIGINALS: Mapping[str, Original] = {
    "Llama": Original("LlamaConfig"),
    "Llama, tied": Original("LlamaConfig", {"tie_word_embeddings": True, "num_key_value_heads": HEADS}),
    "Llama, linear rope": Original(
        "LlamaConfig", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}
    ),
    "Llama 3.1 rope": Original("LlamaConfig", {"rope_parameters": LLAMA3}),
    "Qwen 2": Original("Qwen2Config", {"head_dim": None, "hidden_size": HEADS * DIM}),
    "Qwen 3": Original("Qwen3Config", {"head_dim": 2 * DIM}),
    "Mistral": Original("MistralConfig", {"sliding_window": None}),
    "Mistral, window": Original("MistralConfig", {"sliding_window": WINDOW}),
    "Gemma 1": Original("GemmaConfig", {"num_key_value_heads": 1}),
    "Gemma 2": Original(
        "Gemma2Config",
        {
            "sliding_window": WINDOW,
            "layer_types": KINDS_IN_TURN,
            "final_logit_softcapping": 3.0,
            "attn_logit_softcapping": 0.5,
            "query_pre_attn_scalar": 4 * DIM,
        },
    ),
    "Gemma 3": Original(
        "Gemma3TextConfig",
        {
            "sliding_window": WINDOW,
            "layer_types": KINDS_IN_TURN,
            "query_pre_attn_scalar": 4 * DIM,
            "rope_parameters": GEMMA3_ROPE,
        },
    ),
    "GPT-2": Original("GPT2Config"),
    "Qwen 3, yarn": Original("Qwen3Config", {"rope_parameters": YARN}),
    "OLMo 2": Original("Olmo2Config", {"head_dim": None, "hidden_size": HEADS * DIM}),
    "OLMo 3": Original(
        "Olmo3Config",
        {
            "head_dim": None,
            "hidden_size": HEADS * DIM,
            "sliding_window": WINDOW,
            "layer_types": KINDS_IN_TURN,
            "rope_parameters": {"full_attention": YARN, "sliding_attention": GEMMA3_ROPE["sliding_attention"]},
        },
    ),
    "EXAONE 4": Original("Exaone4Config", {"sliding_window": WINDOW, "layer_types": KINDS_IN_TURN}),
    "Hunyuan": Original(
        "HunYuanDenseV1Config",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "alpha": 50.0, "factor": 1.0}},
    ),
    "GPT-NeoX": Original("GPTNeoXConfig", {**NO_HEAD_SIZES, "rotary_pct": 0.25}),
    "Phi-2": Original("PhiConfig", {"head_dim": None, "hidden_size": HEADS * DIM, "partial_rotary_factor": 0.5}),
}


@dataclass(frozen=True, slots=True)
class Found:
    """How near one family is to its original."""

    from_rounded: float
    from_original: float
    greedy: int
    """Greedy tokens equal to the rounded original's."""
    undecided: int
    """Those that are not, where the two lie nearer in the original than six times the usual difference of a logit."""
    without: Mapping[str, float]
    """The distance from the rounded original when one of its settings is left out: what a mistake would look like."""


def make(name: str) -> Any:
    """The original, random, in evaluation mode."""
    import torch
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)  # so small a model gains nothing from more
    torch.manual_seed(0)
    original = ORIGINALS[name]
    options: dict[str, Any] = {"vocab_size": VOCABULARY, "attn_implementation": "eager"}
    if original.config == "GPT2Config":
        options |= {"n_embd": HEADS * DIM, "n_layer": LAYERS, "n_head": HEADS, "n_positions": CONTEXT_TOKENS}
    else:
        options |= {
            "hidden_size": WIDTH,
            "intermediate_size": 160,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": DIM,
            "max_position_embeddings": CONTEXT_TOKENS,
            "pad_token_id": None,
            "tie_word_embeddings": "Gemma" in name,
        }
    merged = {key: value for key, value in {**options, **original.options}.items() if value is not None}
    if original.options.get("sliding_window", 0) is None:
        merged["sliding_window"] = None
    model: Any = transformers.AutoModelForCausalLM.from_config(getattr(transformers, original.config)(**merged))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("bias"):
                parameter.normal_(0, 0.2)
            elif parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5).sub_(1.0 if "Gemma" in name else 0.0)
            elif "embed" in key or "wte" in key or "wpe" in key:
                parameter.normal_(0, 1.0)
            else:
                # Transformers' GPT-2 keeps its matrices the other way round.
                inputs = parameter.shape[0 if original.config == "GPT2Config" else 1]
                parameter.normal_(0, 0.8 / inputs**0.5)
    return model.eval()


def convert(model: Any, folder: Path) -> None:
    """Write the folder as `hearth convert` would."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        source = open_path(Path(saved))
        decoder = page_of(source.architecture).decoder(source.config)
        write_decoder(source, decoder, folder, "int8_float32")
    write_facts(decoder, {}, [f"t{i}" for i in range(VOCABULARY)], folder)


def round_weights(model: Any, folder: Path) -> None:
    """Give the original the folder's int8 weights, as floats: each row of a matrix rounded to 127 steps a side."""
    import torch

    stored = read_ctranslate2_weights(folder / "model.bin")
    seen = set()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.dim() != 2 or "wpe" in key:
                continue
            transposed = "c_attn" in key or "c_proj" in key or "c_fc" in key
            rows = parameter.T if transposed else parameter
            scale = 127 / rows.abs().amax(1, keepdim=True)
            rounded = torch.round(rows * scale) / scale
            parameter.copy_(rounded.T if transposed else rounded)
            seen.add(round(float(rounded.double().sum()), 2))
    embeddings = model.get_input_embeddings().weight.numpy(force=True)
    assert np.abs(embeddings - stored["decoder/embeddings/weight"]).max() < 1e-6, "the rounding is not the converter's"


def logits_of(model: Any, ids: list[int]) -> Floats:
    """The original's, of every position."""
    import torch

    with torch.inference_mode():
        found: Floats = model(torch.tensor([ids])).logits[0].numpy(force=True)
    return found


def distance(ours: Floats, theirs: Floats) -> float:
    """Root mean square of the difference over that of the logits, each position about its mean."""
    ours, theirs = (x - x.mean(1, keepdims=True) for x in (ours, theirs))
    return float(np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()))


def compare(name: str, folder: Path) -> Found:
    """Convert one family's model and compare."""
    model = make(name)
    ids = np.random.default_rng(0).integers(0, VOCABULARY, PROMPT_TOKENS).tolist()
    plain = logits_of(model, ids)
    convert(model, folder)
    round_weights(model, folder)
    rounded = logits_of(model, ids)
    compiled = core()
    assert compiled is not None, "the step engine is not compiled"
    decoder = compiled.Decoder(str(folder / "model.bin"), config(folder), 1, "", CONTEXT_TOKENS, 1 << 24)
    row = decoder.open(ids)
    assert decoder.reserve(row, len(ids))
    ours = decoder.logits([row], [len(ids)])
    decoder.close(row)
    greedy, undecided = _greedy(model, decoder, ids[:40], 6 * float(np.abs(ours - rounded).mean()))
    without = {key: distance(logits_of(other, ids), rounded) for key, other in _without(model).items()}
    return Found(distance(ours, rounded), distance(ours, plain), greedy, undecided, without)


def _greedy(model: Any, decoder: Any, ids: list[int], near: float) -> tuple[int, int]:
    """How many greedy tokens are equal, and how many differ where the original is undecided.

    Where they differ, the text goes on with the original's token.
    """
    text, equal, undecided = list(ids), 0, 0
    row = decoder.open(text)
    for _ in range(GREEDY_TOKENS):
        assert decoder.reserve(row, decoder.pending(row))
        (ours,), _ = decoder.step([row], [decoder.pending(row)])
        last = logits_of(model, text)[-1]
        text.append(int(last.argmax()))
        if ours == text[-1]:
            equal += 1
            continue
        undecided += bool(last[text[-1]] - last[ours] < near)
        decoder.close(row)
        row = decoder.open(text)
    return equal, undecided


def _without(model: Any) -> Mapping[str, Any]:
    """The same weights under a configuration that lacks one setting."""
    import transformers

    settings = {
        "sliding_window": {"sliding_window": CONTEXT_TOKENS},
        "attn_logit_softcapping": {"attn_logit_softcapping": None},
        "final_logit_softcapping": {"final_logit_softcapping": None},
        "query_pre_attn_scalar": {"query_pre_attn_scalar": DIM},
        "use_parallel_residual": {"use_parallel_residual": False},
    }
    changes = {key: change for key, change in settings.items() if getattr(model.config, key, None) is not None}
    rope = getattr(model.config, "rope_parameters", None)
    if rope is not None and any(word in str(rope) for word in ("linear", "llama3", "yarn", "alpha", "partial")):
        nested = "full_attention" in rope
        changes["rope_parameters"] = {
            "rope_parameters": {kind: _plain(each) for kind, each in rope.items()} if nested else _plain(rope)
        }
    others = {}
    for key, change in changes.items():
        settings = type(model.config)(**{**model.config.to_dict(), **change, "attn_implementation": "eager"})
        other: Any = transformers.AutoModelForCausalLM.from_config(settings)
        other.load_state_dict(model.state_dict())
        others[key] = other.eval()
    return others


def _plain(rope: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"rope_type": "default", "rope_theta": rope["rope_theta"], "partial_rotary_factor": 1.0}


def main() -> None:
    """Command line."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| family | from the rounded original | from the original | greedy tokens equal | a setting left out |")
    print("|---|---|---|---|---|")
    for name in ORIGINALS:
        with tempfile.TemporaryDirectory() as folder:
            found = compare(name, Path(folder))
        greedy = f"{found.greedy} of {GREEDY_TOKENS}, {found.undecided} undecided"
        without = ", ".join(f"{key} {value:.0%}" for key, value in found.without.items()) or "-"
        print(f"| {name} | {found.from_rounded:.1%} | {found.from_original:.1%} | {greedy} | {without} |", flush=True)


if __name__ == "__main__":
    main()
