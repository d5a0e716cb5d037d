"""Translators from a hub: Marian (OPUS-MT), M2M100 and NLLB, from a repository to a checked model folder.

CTranslate2's converter is right about these networks. What it leaves out is all about languages: which there are, what
the model calls them, and in which directions it translates.
"""

import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.cards import Figure, TokenizerSpec, TranslationSpec
from models.convert import tokens as tokenizer_file
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.languages import codes, iso_639_1, pairs_of
from models.convert.original import load
from models.convert.seq2seq_check import Reference, references, require_exact, require_served
from models.convert.source import Source
from models.convert.tokens import Tokens

MOST_BEAMS = 5
"""What a request may ask for, too."""
USUAL_BEAMS = 2
RATIO = 3.0
"""Target tokens to source tokens; of the directions there are, the worst comes near it."""


@dataclass(frozen=True, slots=True)
class Tongues:
    """What a model translates, and how it names it."""

    family: str
    section: TranslationSpec


def convert_marian(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if source.tokenizer_config.get("separate_vocabs") or source.has("target_vocab.json"):
        raise CannotConvert(f"{source.repository} has a vocabulary for each language, which no engine here reads.")
    for name in ("source.spm", "target.spm", "vocab.json"):
        if not source.has(name):
            raise CannotConvert(f"{source.repository} has no {name}.")
    model, tokenizer = read(source)
    tongues = Tongues("marian", _section(source, model, **_marian_languages(source)))
    shutil.copyfile(source.path("source.spm"), folder / "source.spm")
    shutil.copyfile(source.path("target.spm"), folder / "target.spm")
    spec = TokenizerSpec("sentencepiece-vocabulary", "source.spm", "target.spm")
    return _convert(source, folder, request, model, tokenizer, tongues, spec)


def convert_m2m100(source: Source, folder: Path, request: Request) -> Converted:
    """See `models.convert.contract.Converter`. NLLB is the same network; its names of languages are other ones."""
    model, tokenizer = read(source)
    underscored = list(getattr(tokenizer, "lang_code_to_token", ()))  # M2M100's tokenizer has such a table
    known = codes(underscored or sorted(tokenizer.all_special_tokens, key=tokenizer.convert_tokens_to_ids))
    if len(known) < 2:
        raise CannotConvert(f"{source.repository} names no languages among its special tokens.")
    template = "__{language}__" if underscored else "{language}"
    section = _section(source, model, sources=known, targets=known, template=template)
    if source.has("sentencepiece.bpe.model") and underscored:
        shutil.copyfile(source.path("sentencepiece.bpe.model"), folder / "sentencepiece.bpe.model")
        spec = TokenizerSpec("sentencepiece-vocabulary", "sentencepiece.bpe.model")
    else:
        Tokens(source, model.config.vocab_size).write(folder)
        spec = TokenizerSpec("huggingface", tokenizer_file.FILE)
    return _convert(source, folder, request, model, tokenizer, Tongues("m2m100", section), spec)


def read(source: Source) -> tuple[Any, Any]:
    """The original in float32, and its tokenizer."""
    import transformers

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Marian's asks for a library that it does not use here
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(source.folder), local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # the library raises what it likes
        raise CannotConvert(f"{source.repository} cannot be read: {error}") from error
    # Positions are computed, not stored, and some repositories leave out what is tied.
    return load("AutoModelForSeq2SeqLM", source, dispensable=("embed_positions", "embed_tokens")), tokenizer


def write_checked(spec: Any, folder: Path, wanted: Sequence[Reference], request: Request) -> tuple[Figure, ...]:
    """Compare the weights in float32 with the original's, then write them as they will be served.

    Raises:
        Mismatch: they do not compute the same.
    """
    spec.validate()
    with tempfile.TemporaryDirectory(prefix="hearth-convert-") as beside:
        spec.save(beside)
        figures = require_exact(Path(beside), wanted)
    spec.optimize(quantization=request.quantization)
    spec.save(str(folder))
    return figures


def _convert(
    source: Source,
    folder: Path,
    request: Request,
    model: Any,
    tokenizer: Any,
    tongues: Tongues,
    tokenizer_spec: TokenizerSpec,
) -> Converted:
    from ctranslate2.converters.transformers import _MODEL_LOADERS  # its converter would load everything once more

    config, section = model.config, tongues.section
    parameters = sum(parameter.numel() for parameter in model.parameters())
    request.report("asking the original for translations")
    wanted = references(model, tokenizer, section)  # now, since quantizing overwrites the original's weights
    request.report("converting")
    loader = _MODEL_LOADERS[type(config).__name__]
    spec = loader.get_model_spec(model)
    loader.set_config(spec.config, model, tokenizer)
    loader.set_vocabulary(spec, _vocabulary(tokenizer, spec.encoder.embeddings[0].weight.shape[0]))
    figures = write_checked(spec, folder, wanted, request)
    request.report("comparing what will be served with the original")
    figures += require_served(folder, tongues.family, section, tokenizer_spec, wanted, request.quantization)
    return Converted(
        task="translation",
        family=tongues.family,
        context_length_tokens=request.context_of(_positions(source, config)),
        parameters=parameters,
        tokenizer=tokenizer_spec,
        figures=figures,
        translation=section,
    )


def _vocabulary(tokenizer: Any, rows: int) -> list[str]:
    """A token for each embedding; those that no text yields get names of their own."""
    tokens: list[str] = []
    for id in range(rows):
        token = tokenizer.convert_ids_to_tokens(id)
        is_other = token is None or (token == tokenizer.unk_token and id != tokenizer.unk_token_id)
        tokens.append(f"<extra_{id}>" if is_other else token)
    return tokens


def _section(source: Source, model: Any, sources: dict[str, str], targets: dict[str, str], template: str) -> Any:
    languages = tuple(dict.fromkeys([*sources, *targets]))
    everything = sources.keys() == targets.keys()
    beams = int(source.generation_config.get("num_beams") or model.config.to_dict().get("num_beams") or USUAL_BEAMS)
    return TranslationSpec(
        languages=languages,
        target_token=template,
        beam_size=max(1, min(beams, MOST_BEAMS)),
        max_target_ratio=RATIO,
        pairs=() if everything else pairs_of(sources, targets),
        codes={code: name for code, name in {**sources, **targets}.items() if template and code != name},
        # The start and the name of the target's language have positions too.
        max_target_tokens=model.config.max_position_embeddings - 2,
    )


def _positions(source: Source, config: Any) -> int:
    stated = source.tokenizer_config.get("model_max_length")
    positions = int(config.max_position_embeddings)
    return min(positions, int(stated)) if isinstance(stated, int | float) and stated > 0 else positions


def _marian_languages(source: Source) -> dict[str, Any]:
    """The languages of an OPUS-MT repository: those that its tokens name, its tokenizer, its name or its README.

    Raises:
        CannotConvert: it reads or writes a group of languages, and nothing says which.
    """
    vocabulary = json.loads(source.path("vocab.json").read_text("utf-8"))
    named = [token[2:-2] for token in vocabulary if token.startswith(">>") and token.endswith("<<")]
    of_name = source.repository.rpartition("/")[2].split("-")[-2:]
    stated = [source.tokenizer_config.get(key) or name for key, name in zip(_ENDS, of_name, strict=False)]
    if len(stated) < 2:
        raise CannotConvert(f"{source.repository}: neither its name nor tokenizer_config.json says its languages.")
    targets = codes(named) if named else _one(source, stated[1], "writes")
    single = iso_639_1(str(stated[0]))
    if single is not None:
        return {"sources": {single: single}, "targets": targets, "template": _template(named)}
    listed = [code for code in source.languages if not (len(targets) == 1 and code in targets)]
    sources = {code: code for code in codes(listed)}
    if not sources:
        raise CannotConvert(
            f"{source.repository} reads a group of languages ({stated[0]}), and its README does not list them."
        )
    return {"sources": sources, "targets": targets, "template": _template(named)}


_ENDS = ("source_lang", "target_lang")


def _template(named: Sequence[str]) -> str:
    return ">>{language}<<" if named else ""


def _one(source: Source, stated: Any, does: str) -> dict[str, str]:
    code = iso_639_1(str(stated))
    if code is None:
        raise CannotConvert(f"{source.repository} {does} {stated!r}, which is no language known here.")
    return {code: code}
