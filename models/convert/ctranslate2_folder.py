"""Converts a decoder in CTranslate2's format: it keeps the variables as they are and makes the usual checks.

Such a folder does not state every fact. At best ``tokenizer_config.json`` has the context, and the numbers that
CTranslate2's converter leaves out (Llama 3.1's scaled positions, Gemma 2's caps) are lost. The engine that will serve
the model refuses a folder that lacks such a number.
"""

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.cards import TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.chat import chat_template, generation_spec
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.likeliness import require_likely_and_agreed, require_text
from models.convert.model_bin import write_model
from models.convert.network import OWN_SPECIFICATION, SPECIFICATION, smallest
from models.convert.source import Source
from models.convert.tensors.base import WeightFile
from models.convert.tensors.ctranslate2 import ModelFile, read_model_file
from models.convert.tokens import Tokens
from models.tables import ManifestError
from models.vocabulary import read_vocabulary

FILE, VOCABULARY = "model.bin", "vocabulary.json"
USUAL_TOKENS = 2048
"""The tokens of a context that no file states."""


def is_folder_of_ctranslate2(source: Source) -> bool:
    """Tells whether a repository is in CTranslate2's format: it names no class, and has a ``model.bin``."""
    return not source.architecture and not source.weights and source.has(FILE)


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if request.check == "original":
        raise CannotConvert(f"{source.repository} cannot be compared with the original, which is not there.")
    template = chat_template(source)
    with ExitStack() as stack:
        file = WeightFile(source.path(FILE))
        stack.callback(file.close)
        model = read_model_file(file)
        if model.specification not in (SPECIFICATION, OWN_SPECIFICATION):
            raise CannotConvert(
                f"{source.repository} is a {model.specification} of CTranslate2's, no decoder: it does not say its "
                "languages or labels. Take the repository it was made from."
            )
        rows = _rows(source, model)
        tokens = Tokens(source, rows)
        _require_same_vocabulary(source, tokens)
        tokens.write(folder)
        require_text(tokens, folder)
        written = generation_spec(source, tokens, template, folder)
        request.report(f"converting {source.repository}")
        write_model(
            folder / FILE, model.specification, model.revision, {**model.scalars, **model.tensors}, request.quantization
        )
        parameters = sum(_size(tensor) for tensor in {id(each): each for each in model.tensors.values()}.values())
    shutil.copyfile(source.path("config.json"), folder / "config.json")
    (folder / VOCABULARY).write_text(json.dumps(tokens.vocabulary, indent=2), encoding="utf-8")
    reach = _reach(model)
    context = _context(source)
    request.report("checking what will be served")
    return Converted(
        task="generation",
        family="hub",
        context_length_tokens=request.context_of(context),
        parameters=parameters,
        tokenizer=TokenizerSpec("huggingface", tokenizer_file.FILE),
        figures=require_likely_and_agreed(tokens, context, reach, parameters, folder, request),
        generation=replace(written, closed_loop_tokens=reach),
    )


def _reach(model: ModelFile) -> int | None:
    """The most tokens that CTranslate2's loop computes correctly: a window, or ``longrope``'s original context."""
    if model.specification == OWN_SPECIFICATION:
        return 0
    ends = ["sliding_window"]
    if any(name.endswith("rotary_scaling_long_factor") for name in model.tensors):
        ends.append("original_max_position_embeddings")
    return smallest([int(value) for name, value in model.scalars.items() if name.endswith(tuple(ends))])


def _rows(source: Source, model: ModelFile) -> int:
    table = model.tensors.get("decoder/embeddings/weight")
    if table is None or len(table.shape) != 2:
        raise CannotConvert(f"{source.repository} has no embeddings in its {FILE}.")
    return table.shape[0]


def _require_same_vocabulary(source: Source, tokens: Tokens) -> None:
    """Refuse embeddings whose order differs from the tokenizer's ids."""
    try:
        stated = read_vocabulary(source.folder) if source.has(VOCABULARY) else []
    except ManifestError as error:
        raise CannotConvert(str(error)) from error
    known = ((stated[id], token) for id in range(len(stated)) if (token := tokens.token(id)) is not None)
    other = next(((theirs, ours) for theirs, ours in known if theirs != ours), None)
    if other is not None:
        raise CannotConvert(f"{VOCABULARY} has {other[0]!r} where the tokenizer has {other[1]!r}.")


def _context(source: Source) -> int:
    stated = source.tokenizer_config.get("model_max_length")
    return int(stated) if isinstance(stated, int | float) and 0 < stated < 10**9 else USUAL_TOKENS


def _size(tensor: Any) -> int:
    size = 1
    for each in tensor.shape:
        size *= each
    return size
