"""The files of a decoder's folder that CTranslate2 reads: ``model.bin``, ``config.json``, the vocabulary."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.convert.architectures import page_of
from models.convert.architectures.page import Weights
from models.convert.contract import Quantization
from models.convert.equalize import equalized
from models.convert.model_bin import FourBitMatrices, Variables, write_model
from models.convert.network import FOUR_BIT_REVISION, OWN_SPECIFICATION, Decoder, scalars, vectors
from models.convert.opened import open_weights
from models.convert.source import Source


def write_decoder(
    source: Source,
    decoder: Decoder,
    folder: Path,
    quantization: Quantization,
    *,
    equalize: bool | None = None,
    in_four_bits: FourBitMatrices | None = None,
) -> int:
    """Write ``model.bin``, and return the number of its parameters.

    Args:
        source: the repository.
        decoder: the model's facts.
        folder: the destination.
        quantization: the type of the matrices.
        equalize: even out columns first (`models.convert.equalize`); None: only if matrices become int8.
        in_four_bits: the matrices that are written in four bits, if any.

    Raises:
        CannotConvert: a tensor is missing, left over, or differs in shape from the facts.
        BadWeights: a file cannot be read.
    """
    page = page_of(source.architecture)
    with open_weights(source) as tensors:
        weights = Weights(tensors, decoder.factors)
        variables = {f"decoder/{name}": tensor for name, tensor in page.weights(decoder, weights)}
        weights.require_all_taken(page.ignored)
        every: Variables = {**scalars(decoder), **vectors(decoder), **variables}
        if equalize if equalize is not None else quantization in ("int8_float32", "int8"):
            every = equalized(decoder, every)
        specification = (OWN_SPECIFICATION, FOUR_BIT_REVISION) if in_four_bits else decoder.specification
        write_model(folder / "model.bin", *specification, every, quantization, in_four_bits)
    return weights.parameters


def write_facts(decoder: Decoder, specials: Mapping[str, str], vocabulary: list[str], folder: Path) -> None:
    """Write CTranslate2's ``config.json`` and ``vocabulary.json``."""
    config: dict[str, Any] = {
        "bos_token": specials.get("bos_token", ""),
        "eos_token": specials.get("eos_token", ""),
        "layer_norm_epsilon": decoder.epsilon,
        "multi_query_attention": True,
        "unk_token": specials.get("unk_token", ""),
    }
    if decoder.norms == "around" and not decoder.qk_norm:  # Gemma 2: the step engine needs both
        config["final_logit_softcap"] = float(decoder.final_softcap or 0)
        config["attention_logit_softcap"] = float(decoder.attention_softcap or 0)
    _write_json(folder / "config.json", config)
    _write_json(folder / "vocabulary.json", vocabulary)


def _write_json(file: Path, value: Mapping[str, Any] | list[str]) -> None:
    file.write_text(json.dumps(value, indent=2), encoding="utf-8")
