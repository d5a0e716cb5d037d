"""Step 4, convert: the weights of the checkpoint as a model folder that CTranslate2 runs.

Writes the int8 model with its manifest to --out, and the same weights in float32 to WORK/float32, against which
`evaluate` compares. Checks first that the engine's float32 probabilities equal the network's: a wrong layout would
still translate, only worse. --blend mixes the weights with those of the model that the training began from, which
restores a part of the forgotten skills.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import ctranslate2
import sentencepiece
import torch
from torch import Tensor

from models.recipes.common import load_checkpoint
from models.recipes.translate import manifest
from models.recipes.translate.network import Network, NetworkShape
from models.recipes.translate.spec import write_engine_model
from models.recipes.translate.warmstart import load_shipped

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


def blended(
    weights: Mapping[str, Tensor], shape: NetworkShape, began: Path, work: Path, own: float
) -> dict[str, Tensor]:
    """Each weight as `own` of the trained one and the rest of that of the folder `began`, which training began from."""
    before = load_shipped(began, work, shape.encoder_layers, dropout=0.0).state_dict()
    return {name: before[name].lerp(value, own) for name, value in weights.items()}


def convert(work: Path, out: Path, kind: str, model_id: str, blend: tuple[Path, float] | None = None) -> None:
    """Write both folders."""
    checkpoint = load_checkpoint(work / "checkpoint.pt")
    if checkpoint is None:
        raise SystemExit(f"{work}: no checkpoint yet, train first")
    shape = NetworkShape(**checkpoint["shape"])
    weights: dict[str, Tensor] = checkpoint["optimizer"][WEIGHTS[kind]]
    if blend:
        weights = blended(weights, shape, blend[0], work, blend[1])
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
    parser.add_argument("--blend", type=Path, help="model folder that training began from, to mix the weights with")
    parser.add_argument("--own-share", type=float, default=0.85, help="of the trained weights in a blend")
    parser.add_argument("--id", default="translate", help="the model's name for users of the server")
    options = parser.parse_args()
    convert(
        options.work,
        options.out,
        options.weights,
        options.id,
        (options.blend, options.own_share) if options.blend else None,
    )


if __name__ == "__main__":
    main()
