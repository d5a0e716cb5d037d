"""Step 4: checkpoint to a whole model folder, int8, with template, tokenizer and manifest.

The step compares the last and the averaged weights and ships those with the lower loss on a part of the dev rows. It
writes nothing if the engine's float32 logits differ from the network's. The float32 folder stays in --work for the
comparison in `evaluate`.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import ctranslate2
import numpy as np
import sentencepiece
import torch
from torch import Tensor

from models.recipes.assistant.batches import Row, encode
from models.recipes.assistant.card import write_card
from models.recipes.assistant.data import dev_rows
from models.recipes.assistant.loss import weighted_loss
from models.recipes.assistant.network import Decoder, Shape
from models.recipes.assistant.spec import write_engine_model
from models.recipes.common import load_checkpoint

_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
_QUANTIZATION = "int8_float32"
_CHOICE_ROWS = 60
_CHECK_ROWS = 4
_LARGEST_LOGIT_DIFFERENCE = 1e-3


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/weights/assistant"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    state = load_checkpoint(arguments.work / "checkpoint.pt")
    if state is None:
        raise SystemExit("no checkpoint in --work: run the train step first")
    shape = Shape(**state["shape"])
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(arguments.work / "tokenizer.model"))
    rows = [
        encode(row.segments, tokenizer, shape.context_tokens)
        for row in random.Random(1).sample(list(dev_rows(arguments.data)), _CHOICE_ROWS)
    ]
    losses = {name: mean_loss(shape, state[name], rows) for name in ("model", "average")}
    chosen = min(losses, key=lambda name: losses[name])
    print(f"dev loss {losses}, shipping {chosen}")
    pieces = [tokenizer.id_to_piece(i) for i in range(tokenizer.get_piece_size())]
    float_folder = arguments.work / "float32"
    for folder, quantization in ((float_folder, None), (arguments.out, _QUANTIZATION)):
        for name in ("model.bin", "config.json", "vocabulary.json"):
            (folder / name).unlink(missing_ok=True)
        write_engine_model(folder, shape, state[chosen], pieces, quantization)
    difference = logit_difference(shape, state[chosen], float_folder, rows[:_CHECK_ROWS])
    print(f"largest logit difference torch - engine, float32: {difference:.1e}")
    if difference > _LARGEST_LOGIT_DIFFERENCE:
        raise SystemExit("the engine does not compute what was trained")
    shutil.copy(arguments.work / "tokenizer.model", arguments.out / "tokenizer.model")
    shutil.copy(_TEMPLATE, arguments.out / _TEMPLATE.name)
    parameters = sum(value.numel() for value in state[chosen].values())
    write_card(arguments.out, arguments.work, parameters, state["tokens"], state["step"])


def _decoder(shape: Shape, weights: Mapping[str, Tensor]) -> Decoder:
    model = Decoder(shape)
    model.load_state_dict(dict(weights))
    return model.eval()


@torch.no_grad()
def mean_loss(shape: Shape, weights: Mapping[str, Tensor], rows: Sequence[Row]) -> float:
    """Mean loss per assistant token."""
    model = _decoder(shape, weights)
    total = count = 0.0
    for row in rows:
        ids = torch.from_numpy(row.ids.astype(np.int64))
        scale = torch.from_numpy(np.append(row.weights[1:] == 1, False).astype(np.float32))
        total += weighted_loss(model(ids, [len(ids)]), model.embeddings.weight, ids.roll(-1), scale).item()
        count += scale.sum().item()
    return total / count


@torch.no_grad()
def logit_difference(shape: Shape, weights: Mapping[str, Tensor], folder: Path, rows: Sequence[Row]) -> float:
    """The largest difference of any logit between the network and the engine."""
    model = _decoder(shape, weights)
    engine = ctranslate2.Generator(str(folder), device="cpu", compute_type="float32", intra_threads=1)
    largest = 0.0
    for row in rows:
        ids = row.ids.astype(np.int64)
        ours = model.logits(model(torch.from_numpy(ids), [len(ids)])).numpy()
        theirs = np.array(engine.forward_batch([ids.tolist()]))[0]
        largest = max(largest, float(np.abs(ours - theirs).max()))
    return largest


if __name__ == "__main__":
    main()
