"""Step 4, convert: the weights of the checkpoint as a model folder that CTranslate2 runs.

Writes the int8 model with its manifest to --out, and the same weights in float32 to
WORK/float32, against which `evaluate` compares. Checks first that the engine's float32
probabilities equal the network's: a wrong layout would still translate, only worse.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import ctranslate2
import sentencepiece
import torch
from torch import Tensor

from models.recipes.common import load_checkpoint
from models.recipes.translate import manifest
from models.recipes.translate.network import Network, NetworkShape
from models.recipes.translate.spec import write_engine_model

# Where the checkpoint has them. The last weights are the best once the learning rate has fallen; before that,
# their moving average is.
WEIGHTS = {"last": "exact", "average": "average"}
LARGEST_DIFFERENCE = 1e-4  # of a log probability; float32 rounding gives about 1e-5


def difference(folder: Path, shape: NetworkShape, weights: dict[str, Tensor], pieces: list[str]) -> float:
    """The largest difference of log probabilities between engine and network, on rows of any tokens."""
    network = Network(shape).eval()
    network.load_state_dict(weights)
    translator = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    for source_tokens, target_tokens in ((1, 3), (9, 12), (shape.context_tokens, shape.context_tokens - 1)):
        source = torch.randint(3, shape.vocabulary, (1, source_tokens), generator=generator)
        target = torch.randint(3, shape.vocabulary, (1, target_tokens), generator=generator)
        result = translator.score_batch([[pieces[i] for i in source[0]]], [[pieces[i] for i in target[0]]])[0]
        with torch.no_grad():
            begun = torch.cat([torch.tensor([[pieces.index("<s>")]]), target], dim=1)
            logits = network.logits(network(source, begun, None))[0].log_softmax(-1)
        ended = torch.cat([target[0], torch.tensor([pieces.index("</s>")])])
        own = logits.gather(1, ended[:, None])[:, 0]
        largest = max(largest, float((own - torch.tensor(result.log_probs)).abs().max()))
    return largest


def convert(work: Path, out: Path, kind: str, model_id: str) -> None:
    """Write both folders."""
    checkpoint = load_checkpoint(work / "checkpoint.pt")
    if checkpoint is None:
        raise SystemExit(f"{work}: no checkpoint yet, train first")
    shape = NetworkShape(**checkpoint["shape"])
    weights: dict[str, Tensor] = checkpoint["optimizer"][WEIGHTS[kind]]
    tokenizer = sentencepiece.SentencePieceProcessor(str(work / "tokenizer.model"))
    pieces: list[str] = tokenizer.id_to_piece(list(range(tokenizer.vocab_size())))
    for folder, quantization in ((work / "float32", None), (out, "int8_float32")):
        write_engine_model(folder, shape, weights, pieces, quantization)
        shutil.copyfile(work / "tokenizer.model", folder / "tokenizer.model")
    found = difference(work / "float32", shape, weights, pieces)
    print(f"engine and network differ by {found:.1e} at most")
    if found > LARGEST_DIFFERENCE:
        raise SystemExit("the converted model is not the network that was trained")
    progress = checkpoint["progress"] | {"steps": checkpoint["optimizer"]["step_count"]}
    (work / "progress.json").write_text(json.dumps(progress) + "\n", encoding="utf-8")
    manifest.write(out, manifest.source_rows(work), shape, [], model_id)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not read here; accepted so that all steps take it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/weights/translate"))
    parser.add_argument("--weights", choices=tuple(WEIGHTS), default="last", help="average: for an unfinished training")
    parser.add_argument("--id", default="translate", help="the model's name for users of the server")
    options = parser.parse_args()
    convert(options.work, options.out, options.weights, options.id)


if __name__ == "__main__":
    main()
