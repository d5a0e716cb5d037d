"""Converts static embedders (model2vec, potion): each token has a vector, and a text's vector is their mean.

The folder has no network but one table, in the same file and form as other models' weights. Weights of tokens and rows
that several tokens share (``weights``, ``mapping``) become part of the table.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.cards import EmbeddingSpec, Figure, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.embedders import require_near
from models.convert.model_bin import quantize, write_model
from models.convert.opened import open_weights
from models.convert.passage import PASSAGE
from models.convert.source import Source
from models.convert.tensors.base import Changed, Picked, Stored, Tensor, Tensors, whole
from models.convert.tokens import Tokens

SPECIFICATION, REVISION = "StaticEmbeddings", 1
TABLE = "embeddings/weight"
MOST_TOKENS = 512
"""The length at which model2vec cuts texts."""
_NAMES = ("embeddings", "embedding.weight")


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if request.check == "original":
        raise CannotConvert(f"{source.repository} has no network that could be compared: it is a table of vectors.")
    request.report(f"converting {source.repository}")
    with open_weights(source) as tensors:
        table, parameters = _table(source, tensors)
        tokens = Tokens(source, table.shape[0])
        write_model(folder / "model.bin", SPECIFICATION, REVISION, {TABLE: table}, request.quantization)
        figure = _checked(tokens, table)
    _write_tokenizer(tokens, folder)
    unknown = tokens.specials.get("unk_token") or _unknown(tokens)
    about = {} if unknown is None else {"unknown_id": tokens.id(unknown)}
    (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "vocabulary.json").write_text(json.dumps(tokens.vocabulary, indent=2), encoding="utf-8")
    stated = source.config.get("seq_length")
    context = min(stated, MOST_TOKENS) if type(stated) is int and stated > 0 else MOST_TOKENS
    return Converted(
        task="embedding",
        family="static",
        context_length_tokens=request.context_of(context),
        parameters=parameters,
        tokenizer=TokenizerSpec("huggingface", tokenizer_file.FILE),
        figures=(figure,),
        embedding=EmbeddingSpec(table.shape[1], "mean", source.config.get("normalize") is not False),
    )


def _table(source: Source, tensors: Tensors) -> tuple[Tensor, int]:
    """A row for each token, and the number of values in the file.

    Raises:
        CannotConvert: the file has no table, or its other tensors do not fit the table.
    """
    name = next((name for name in _NAMES if name in tensors), None)
    left = tensors.keys() - {name, "weights", "mapping"}
    if name is None or left or len(tensors[name].shape) != 2:
        raise CannotConvert(f"{source.repository} has no table of vectors alone: {', '.join(sorted(left)[:3])}.")
    table = _numbers(tensors[name], {1: "i1"})
    size = table.shape[0] * table.shape[1]
    if "mapping" in tensors:
        rows = whole(_numbers(tensors["mapping"], {4: "<i4", 8: "<i8"})).astype(np.int64)
        if rows.ndim != 1 or not ((rows >= 0) & (rows < table.shape[0])).all():
            raise CannotConvert("The weights 'mapping' name rows that the table has not.")
        table = Picked(table, rows)
    if "weights" in tensors:
        factors = whole(tensors["weights"])
        if factors.shape != table.shape[:1] or not np.isfinite(factors).all():
            raise CannotConvert("The weights 'weights' are not one number for each token.")
        table = Changed(table, lambda rows, where: rows * factors[where, None])
    return table, size


def _unknown(tokens: Tokens) -> str | None:
    """The unknown token, as the tokenizer's own model names it."""
    model = json.loads(tokens.model.to_str())["model"]
    found = model.get("unk_token")
    if found is None and isinstance(model.get("unk_id"), int):
        found = tokens.token(model["unk_id"])
    return found if isinstance(found, str) and tokens.has(found) else None


def _numbers(tensor: Tensor, whole_numbers: Mapping[int, str]) -> Tensor:
    """A tensor of integers of this many bytes, which networks never have."""
    if not isinstance(tensor, Stored):
        return tensor
    kind = whole_numbers.get(tensor.row_bytes // math.prod(tensor.shape[1:]))
    if kind is None:
        return tensor
    return replace(tensor, decode=lambda raw: np.frombuffer(raw, kind).astype(np.float32))


def _checked(tokens: Tokens, table: Tensor) -> Figure:
    """Compares the passage's vectors in int8 with those of the file.

    Raises:
        Mismatch: the vectors differ too much, or are not numbers.
    """
    rows = [tokens.model.encode(text, add_special_tokens=False).ids for text in PASSAGE.split("\n\n")]
    every = whole(table)
    wanted = [every[row] for row in rows if row]
    quantized, scale = quantize(every)
    served = [quantized[row].astype(np.float32) / scale[row, None] for row in rows if row]
    return require_near(wanted, served, "mean", "in float32")


def _write_tokenizer(tokens: Tokens, folder: Path) -> None:
    """Write a ``tokenizer.json`` that puts no tokens around a text, since their vectors would be part of every mean."""
    tokens.write(folder)
    file = folder / tokenizer_file.FILE
    table = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**table, "post_processor": None}, ensure_ascii=False), encoding="utf-8")
