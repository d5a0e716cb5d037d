"""Converts embedders that are decoders (Qwen3-Embedding and similar): the hidden state of the last token is the vector.

The folder holds a decoder whose last layer is the unit matrix, so its "logits" are the hidden states after the last
norm. CTranslate2 computes them, since our decode engine returns tokens only.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import EmbeddingSpec, Figure, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.architectures import page_of
from models.convert.architectures.page import Weights
from models.convert.contract import CannotConvert, Converted, Quantization, Request
from models.convert.decoder_files import write_facts
from models.convert.embedders import pipeline_of, require_near
from models.convert.encoders import Floats, rows_of_check, stated_tokens, text_length
from models.convert.model_bin import Variables, write_model
from models.convert.network import REVISION, SPECIFICATION, Decoder, scalars
from models.convert.opened import open_weights
from models.convert.purpose import causal_architecture
from models.convert.selfcheck import require_exact
from models.convert.source import Source
from models.convert.tensors.base import Computed, Tensors
from models.convert.tokens import Tokens

_LAST = "lm_head.weight"


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    pipeline = pipeline_of(source)
    if source.config.get("is_causal") is False or source.config.get("use_bidirectional_attention"):
        raise CannotConvert(f"{source.repository} is a decoder that sees both ways, which no engine here computes.")
    architecture = causal_architecture(source)
    assert architecture is not None  # noqa: S101  # the table chose this converter by it
    page = page_of(architecture)
    decoder = replace(page.decoder(source.config), tied=True)  # the converter ignores the file's last layer
    tokens = Tokens(source, decoder.vocabulary)
    tokens.write(folder)
    reach = decoder.context_tokens if decoder.closed_loop_tokens is None else decoder.closed_loop_tokens
    if reach == 0:
        raise CannotConvert(f"{source.repository} has soft caps on its attention, which CTranslate2 does not compute.")
    most = min(reach, pipeline.most_tokens or reach, stated_tokens(source))
    context = request.context_of(most)
    request.report(f"converting {source.repository}")
    rows = rows_of_check(tokens, min(context, text_length(tokens)))
    with open_weights(source) as tensors:
        take = Weights(_named(tensors), decoder.factors)
        variables: dict[str, Any] = {f"decoder/{name}": tensor for name, tensor in page.weights(decoder, take)}
        take.require_all_taken(page.ignored)
        every = {**scalars(decoder), **variables, "decoder/projection/weight": _unit(decoder.width)}
        _write(decoder, tokens, every, folder, request.quantization)
        exact: tuple[Floats, ...] | None = None
        if request.check != "structure":
            request.report("checking what will be served")
            with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
                _write(decoder, tokens, every, Path(beside), "float32")
                exact = _hidden(Path(beside), rows)
    figures: tuple[Figure, ...] = ()
    if exact is not None:
        original = _original(source, rows) if request.check == "original" else None
        if original is not None:
            figures = (require_exact(np.concatenate(original), np.concatenate(exact)),)
        whose = "in float32" if original is None else "of the original"
        figures += (require_near(original or exact, _hidden(folder, rows), pipeline.pooling, whose),)
    return Converted(
        task="embedding",
        family="decoder",
        context_length_tokens=context,
        parameters=take.parameters,
        tokenizer=TokenizerSpec("huggingface", tokenizer_file.FILE),
        figures=figures,
        embedding=EmbeddingSpec(decoder.width, pipeline.pooling, pipeline.normalize, pipeline.prompts),
    )


def _named(tensors: Tensors) -> Tensors:
    """The tensors by their names in a whole decoder, without the last layer."""
    body = not any(name.startswith("model.") for name in tensors)
    return {f"model.{name}" if body else name: tensor for name, tensor in tensors.items() if name != _LAST}


def _unit(width: int) -> Computed:
    return Computed((width, width), lambda begin, end: np.eye(end - begin, width, begin, np.float32))


def _write(decoder: Decoder, tokens: Tokens, variables: Variables, folder: Path, quantization: Quantization) -> None:
    write_model(folder / "model.bin", SPECIFICATION, REVISION, variables, quantization)
    write_facts(decoder, tokens.specials, tokens.vocabulary, folder)


def _hidden(folder: Path, rows: Sequence[Sequence[int]]) -> tuple[Floats, ...]:
    """The hidden states of a written folder, each row alone."""
    import ctranslate2

    generator = ctranslate2.Generator(str(folder), device="cpu", compute_type="default", inter_threads=1)
    try:
        return tuple(np.array(generator.forward_batch([list(row)]))[0] for row in rows)
    finally:
        del generator


def _original(source: Source, rows: Sequence[Sequence[int]]) -> tuple[Floats, ...]:
    import torch

    from models.convert.original import load

    model = load("AutoModel", source)
    with torch.inference_mode():
        return tuple(model(torch.tensor([list(row)])).last_hidden_state[0].numpy().copy() for row in rows)
