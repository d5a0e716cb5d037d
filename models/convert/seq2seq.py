"""Converts translators from a hub (Marian's OPUS-MT, M2M100, NLLB) into checked model folders.

Their networks have pages like a decoder's (`architectures.bart`); the converter writes a few rows at a time.
Repositories state their languages unclearly, so most of this module finds out the languages, the model's names for
them, and the directions.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import Figure, ModelCard, TokenizerSpec, TranslationSpec
from models.convert import tokens as tokenizer_file
from models.convert.architectures.bart import M2M100, MARIAN, REVISION, SPECIFICATION, Seq2Seq, Seq2SeqPage, scalars
from models.convert.architectures.page import Weights
from models.convert.contract import CannotConvert, Converted, Quantization, Request
from models.convert.languages import M2M100_LANGUAGES, codes, iso_639_1, pairs_of
from models.convert.model_bin import Variables, write_model
from models.convert.opened import open_weights
from models.convert.seq2seq_check import own_references, require_close, require_exact, rows_and_prefixes
from models.convert.source import Source
from models.convert.tensors.base import Computed
from models.convert.tokens import Tokens
from models.convert.translated import require_likely, require_text
from models.tokenizers import load_tokenizer

MOST_BEAMS = 5
"""The largest beam, which is also the largest that a request may ask for."""
USUAL_BEAMS = 2
RATIO = 3.0
"""The most target tokens for each source token; the worst direction comes near it."""
END, UNKNOWN = "</s>", "<unk>"


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a repository's model; the caller may write them several times."""

    variables: Variables
    parameters: int
    network: Seq2Seq
    vocabulary: Sequence[str]
    facts: Mapping[str, Any]
    """The tokens in CTranslate2's ``config.json``."""

    def write(self, folder: Path, quantization: Quantization) -> None:
        """Write the files that CTranslate2 reads."""
        write_model(folder / "model.bin", SPECIFICATION, REVISION, self.variables, quantization)
        rest = {"layer_norm_epsilon": self.network.epsilon, "multi_query_attention": False}
        about = {"add_source_bos": False, "add_source_eos": False, **rest, **self.facts}
        (folder / "config.json").write_text(json.dumps(about, indent=2, sort_keys=True), encoding="utf-8")
        vocabulary = json.dumps(list(self.vocabulary), indent=0)
        (folder / "shared_vocabulary.json").write_text(vocabulary, encoding="utf-8")


@contextmanager
def network_of(
    source: Source,
    page: Seq2SeqPage,
    network: Seq2Seq,
    vocabulary: Sequence[str],
    facts: Mapping[str, Any],
    banned: Sequence[int] = (),
) -> Iterator[Written]:
    """A repository's network, to be used while the files are open.

    Args:
        source: the repository.
        page, network: the network's page and facts.
        vocabulary: one token for each embedding.
        facts: the tokens in ``config.json``, as in `Written`.
        banned: ids that decoding must never choose.

    Raises:
        CannotConvert: a tensor is missing, left over, or differs in shape from the facts.
        BadWeights: a file cannot be read.
    """
    if len(vocabulary) != network.vocabulary:
        raise CannotConvert(
            f"{source.repository} has {len(vocabulary)} tokens, and its network {network.vocabulary} embeddings."
        )
    with open_weights(source) as tensors:
        take = Weights(tensors, {})
        variables: dict[str, Any] = {**scalars(network), **dict(page.weights(network, take))}
        take.require_all_taken(page.ignored)
        if banned:
            bias = np.zeros(network.vocabulary, np.float32)
            bias[list(banned)] = -np.inf
            variables["decoder/projection/bias"] = Computed(bias.shape, lambda begin, end: bias[begin:end])
        yield Written(variables, take.parameters, network, vocabulary, facts)


def convert_marian(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if source.tokenizer_config.get("separate_vocabs") or source.has("target_vocab.json"):
        raise CannotConvert(f"{source.repository} has a vocabulary for each language, which no engine here reads.")
    for name in ("source.spm", "target.spm", "vocab.json"):
        if not source.has(name):
            raise CannotConvert(f"{source.repository} has no {name}.")
    network = MARIAN.network(source.config)
    vocabulary = _numbered(source)
    section = _section(source, network, **_marian_languages(source, vocabulary))
    shutil.copyfile(source.path("source.spm"), folder / "source.spm")
    shutil.copyfile(source.path("target.spm"), folder / "target.spm")
    spec = TokenizerSpec("sentencepiece-vocabulary", "source.spm", "target.spm")
    # Decoding starts from zeros, so the start token does not matter.
    facts = {"bos_token": "<s>", "decoder_start_token": END, "eos_token": END, "unk_token": UNKNOWN}
    return _convert(source, folder, request, "marian", MARIAN, vocabulary[: network.vocabulary], facts, section, spec)


def convert_m2m100(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest. NLLB is the same network with other language
    names.
    """
    network = M2M100.network(source.config)
    if source.has("sentencepiece.bpe.model") and source.has("vocab.json"):
        stated = source.tokenizer_config.get("language_codes") or "m2m100"
        if stated != "m2m100":
            raise CannotConvert(f"{source.repository} has the languages of {stated!r}, which are not known here.")
        known = codes(M2M100_LANGUAGES)
        vocabulary = [*_numbered(source), *(f"__{name}__" for name in M2M100_LANGUAGES)]
        vocabulary += [f"<extra_{id}>" for id in range(len(vocabulary), network.vocabulary)]
        shutil.copyfile(source.path("sentencepiece.bpe.model"), folder / "sentencepiece.bpe.model")
        spec, template = TokenizerSpec("sentencepiece-vocabulary", "sentencepiece.bpe.model"), "__{language}__"
    else:
        tokens = Tokens(source, network.vocabulary)
        tokens.write(folder)
        known, vocabulary = codes(tokens.special), tokens.vocabulary
        if len(known) < 2:
            raise CannotConvert(f"{source.repository} names no languages among its special tokens.")
        spec, template = TokenizerSpec("huggingface", tokenizer_file.FILE), "{language}"
    section = _section(source, network, sources=known, targets=known, template=template)
    start = source.config.get("decoder_start_token_id", 2)
    if not isinstance(start, int) or not 0 <= start < len(vocabulary) or END not in vocabulary:
        raise CannotConvert(f"{source.repository} does not say with which token a translation begins or ends.")
    facts = {"bos_token": "<s>", "decoder_start_token": vocabulary[start], "eos_token": END, "unk_token": UNKNOWN}
    return _convert(source, folder, request, "m2m100", M2M100, vocabulary, facts, section, spec)


def _convert(
    source: Source,
    folder: Path,
    request: Request,
    family: str,
    page: Seq2SeqPage,
    vocabulary: Sequence[str],
    facts: Mapping[str, Any],
    section: TranslationSpec,
    tokenizer: TokenizerSpec,
) -> Converted:
    request.report(f"converting {source.repository}")
    network = page.network(source.config)
    with network_of(source, page, network, vocabulary, facts) as made:
        made.write(folder, request.quantization)
        card = card_to_check(folder, family, section, tokenizer)
        require_text(load_tokenizer(card), section.languages)
        figures: tuple[Figure, ...] = ()
        if request.check != "structure":
            request.report("checking what will be served")
            with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
                made.write(Path(beside), "float32")
                figures = _checked(source, card, Path(beside), request)
    return Converted(
        task="translation",
        family=family,
        context_length_tokens=request.context_of(_positions(source, network)),
        parameters=made.parameters,
        tokenizer=tokenizer,
        figures=figures,
        translation=section,
    )


def _checked(source: Source, card: ModelCard, exact: Path, request: Request) -> tuple[Figure, ...]:
    """Compare the folder with its own weights in float32 and with known translations, or with the original.

    Raises:
        Mismatch: a figure is above its bound.
    """
    if request.check == "original":
        from models.convert.seq2seq_original import read, references

        section = card.translation
        assert section is not None  # noqa: S101
        wanted = references(*read(source), section)
        figures = require_exact(exact, wanted)
        return figures + require_close(card.folder, wanted, rows_and_prefixes(card, wanted), request.quantization)
    wanted = own_references(exact, card)
    figures = require_close(card.folder, wanted, rows_and_prefixes(card, wanted), request.quantization, "in float32")
    return figures + require_likely(card)


def card_to_check(folder: Path, family: str, section: TranslationSpec, tokenizer: TokenizerSpec) -> ModelCard:
    """A card for the checks, which run before the folder has a manifest."""
    return ModelCard(
        id="check",
        task="translation",
        family=family,
        summary="",
        license="",
        created=1,
        context_length_tokens=1,
        quantization="float32",
        parameters=1,
        tokenizer=tokenizer,
        files={},
        translation=section,
        folder=folder,
    )


def _numbered(source: Source) -> list[str]:
    """The tokens of ``vocab.json``, in order.

    Raises:
        CannotConvert: the ids do not count up from 0.
    """
    table = source.json("vocab.json")
    tokens: list[str | None] = [None] * len(table)
    for token, id in table.items():
        if type(id) is not int or not 0 <= id < len(tokens) or tokens[id] is not None:
            raise CannotConvert("vocab.json does not number its tokens from 0 on.")
        tokens[id] = token
    found = [token for token in tokens if token is not None]
    if END not in found or UNKNOWN not in found:
        raise CannotConvert(f"vocab.json has no {END} or no {UNKNOWN}.")
    return found


def _section(
    source: Source, network: Seq2Seq, sources: dict[str, str], targets: dict[str, str], template: str
) -> TranslationSpec:
    languages = tuple(dict.fromkeys([*sources, *targets]))
    everything = sources.keys() == targets.keys()
    stated = source.generation_config.get("num_beams") or source.config.get("num_beams")
    beams = stated if type(stated) is int else USUAL_BEAMS
    return TranslationSpec(
        languages=languages,
        target_token=template,
        beam_size=max(1, min(beams, MOST_BEAMS)),
        max_target_ratio=RATIO,
        pairs=() if everything else pairs_of(sources, targets),
        codes={code: name for code, name in {**sources, **targets}.items() if template and code != name},
        # The start token and the name of the target language have positions too.
        max_target_tokens=max(1, network.positions - 2),
    )


def _positions(source: Source, network: Seq2Seq) -> int:
    stated = source.tokenizer_config.get("model_max_length")
    return min(network.positions, int(stated)) if isinstance(stated, int | float) and stated >= 1 else network.positions


def _marian_languages(source: Source, vocabulary: Sequence[str]) -> dict[str, Any]:
    """The languages of an OPUS-MT repository, from its tokens, its tokenizer, its name or its README.

    Raises:
        CannotConvert: the model reads or writes a group of languages, and no file lists them.
    """
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
