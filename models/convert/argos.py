"""Converts Argos Translate's packages: OpenNMT's encoder-decoders with a sentencepiece model for both languages.

Packages with subword-nmt's BPE instead of sentencepiece are refused.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from models.cards import TokenizerSpec, TranslationSpec
from models.convert.argos_files import BPE, PIECES, WEIGHTS, package_files
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.model_bin import write_model
from models.convert.seq2seq import card_to_check
from models.convert.source import Source, SourceError, read_object
from models.convert.tensors.base import WeightFile
from models.convert.tensors.ctranslate2 import read_model_file
from models.convert.translated import require_likely, require_text
from models.tokenizers import load_tokenizer
from models.vocabulary import SHARED, SOURCE, TARGET

BEAM_SIZE = 4
"""Argos Translate's own."""
CONTEXT_TOKENS, MOST_TARGET_TOKENS = 256, 512
"""The server splits texts into sentences, which is what the models were trained on."""
TARGET_RATIO = 3.0
SPECIFICATION = "TransformerSpec"
END, START, UNKNOWN = "</s>", "<s>", "<unk>"


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if request.check == "original":
        raise CannotConvert(f"{source.repository} cannot be compared with the original, which is not there.")
    with package_files(source) as files:
        if not (files / PIECES).is_file():
            raise CannotConvert(
                f"{source.repository} is an old package with a BPE vocabulary ({BPE}), which is not read here; "
                "take a newer version of it."
                if (files / BPE).is_file()
                else f"{source.repository} has no {PIECES}."
            )
        vocabularies = _vocabularies(files / "model")
        request.report(f"converting {source.repository}")
        parameters = _write_weights(files / WEIGHTS, folder, request)
        _write_facts(files / "model", folder, vocabularies)
        shutil.copyfile(files / PIECES, folder / PIECES)
    pair = tuple(source.config["languages"])
    prefix = source.config["target_prefix"]
    if prefix and prefix not in vocabularies[-1]:
        raise CannotConvert(f"{source.repository} has no token {prefix!r}, with which its translations begin.")
    section = TranslationSpec(
        languages=pair,
        target_token=prefix.replace("{", "{{").replace("}", "}}"),
        beam_size=BEAM_SIZE,
        max_target_ratio=TARGET_RATIO,
        pairs=(pair,),
        max_target_tokens=MOST_TARGET_TOKENS,
    )
    tokenizer = TokenizerSpec("sentencepiece-vocabulary", PIECES)
    card = card_to_check(folder, "opennmt", section, tokenizer)
    require_text(load_tokenizer(card), pair)
    request.report("checking what will be served")
    return Converted(
        task="translation",
        family="opennmt",
        context_length_tokens=request.context_of(CONTEXT_TOKENS),
        parameters=parameters,
        tokenizer=tokenizer,
        figures=() if request.check == "structure" else require_likely(card),
        translation=section,
    )


def _write_weights(weights: Path, folder: Path, request: Request) -> int:
    """Write ``model.bin``, and return the number of its parameters."""
    file = WeightFile(weights)
    try:
        model = read_model_file(file)
        if model.specification != SPECIFICATION:
            raise CannotConvert(f"The package's model is a {model.specification} of CTranslate2's, no translator.")
        variables = {**model.scalars, **model.tensors}
        write_model(folder / "model.bin", SPECIFICATION, model.revision, variables, request.quantization)
        sizes = {id(tensor): tensor.shape for tensor in model.tensors.values()}
    finally:
        file.close()
    total = 0
    for shape in sizes.values():
        size = 1
        for each in shape:
            size *= each
        total += size
    return total


def _write_facts(model: Path, folder: Path, vocabularies: list[list[str]]) -> None:
    stated = dict(read_object(model / "config.json")) if (model / "config.json").is_file() else {}
    usual = {"add_source_bos": False, "add_source_eos": False, "bos_token": START, "eos_token": END}
    facts = {**usual, "decoder_start_token": START, "unk_token": UNKNOWN, **stated}
    if facts["unk_token"] != UNKNOWN or any(UNKNOWN not in each for each in vocabularies):
        raise CannotConvert(f"The package's vocabulary has no {UNKNOWN}.")
    (folder / "config.json").write_text(json.dumps(facts, indent=2, sort_keys=True), encoding="utf-8")
    for name, tokens in zip([SHARED] if len(vocabularies) == 1 else [SOURCE, TARGET], vocabularies, strict=True):
        (folder / name).write_text(json.dumps(tokens, indent=0), encoding="utf-8")


def _vocabularies(model: Path) -> list[list[str]]:
    """One vocabulary for both languages, or the source's and the target's."""
    shared = _vocabulary(model, "shared_vocabulary")
    if shared is not None:
        return [shared]
    both = [_vocabulary(model, f"{side}_vocabulary") for side in ("source", "target")]
    if both[0] is None or both[1] is None:
        raise CannotConvert("The package's model has no vocabulary.")
    return [both[0], both[1]]


def _vocabulary(model: Path, name: str) -> list[str] | None:
    """The tokens of a vocabulary in either of CTranslate2's forms, a JSON list or a token a line; None if missing."""
    try:
        if (file := model / f"{name}.json").is_file():
            tokens: Any = json.loads(file.read_text("utf-8"))
        elif (file := model / f"{name}.txt").is_file():
            tokens = [line.rstrip("\r") for line in file.read_text("utf-8").removesuffix("\n").split("\n")]
        else:
            return None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{name} cannot be read: {error}") from error
    if not isinstance(tokens, list) or not all(isinstance(each, str) for each in tokens):
        raise SourceError(f"{name} is no list of tokens.")
    if len(set(tokens)) != len(tokens):
        raise SourceError(f"{name} lists a token twice.")
    return tokens
