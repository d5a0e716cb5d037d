"""Makes a ``tokenizer.json`` for encoders and T5 whose repository has only older files.

``vocab.txt`` is BERT's, ``vocab.json`` with ``merges.txt`` RoBERTa's, ``spiece.model`` T5's and
``sentencepiece.bpe.model`` XLM-R's. The result equals the file of repositories that have both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from models.convert.contract import CannotConvert
from models.convert.source import Source

_WORD_PIECES = ("bert", "distilbert", "electra", "mpnet")
_OTHER_CUTS = ("BertJapanese", "Herbert", "Phobert")
"""Prefixes of tokenizer classes that cut words before they use a ``vocab.txt``."""
_EXTRA_IDS = 100


def older_tokenizer(source: Source) -> str | None:
    """The text of a ``tokenizer.json``; None if the repository has no file of these families.

    Raises:
        CannotConvert: a file is damaged, or the tokenizer cuts words before it uses the file.
    """
    kind = source.model_type
    try:
        if kind in _WORD_PIECES and source.has("vocab.txt"):
            return _word_pieces(source).to_str()
        if kind == "roberta" and source.has("vocab.json") and source.has("merges.txt"):
            return _merges(source).to_str()
        if kind in ("t5", "mt5") and source.has("spiece.model"):
            return _t5(source).to_str()
        if kind == "xlm-roberta" and source.has("sentencepiece.bpe.model"):
            return _xlm_roberta(source).to_str()
    except CannotConvert:
        raise
    except Exception as error:  # the libraries raise any class
        raise CannotConvert(f"{source.repository}: the files of its tokenizer cannot be read: {error}") from error
    return None


def _word_pieces(source: Source) -> tokenizers.Tokenizer:
    about = source.tokenizer_config
    cutter = str(about.get("tokenizer_class") or "")
    if cutter.startswith(_OTHER_CUTS):
        raise CannotConvert(f"{source.repository} has no tokenizer.json, and cuts words as {cutter} does.")
    tokens = source.text("vocab.txt").splitlines()
    vocabulary = {token: id for id, token in enumerate(tokens)}
    unknown = _role(about, "unk_token", "[UNK]")
    first, last = ("<s>", "</s>") if source.model_type == "mpnet" else ("[CLS]", "[SEP]")
    begins, ends = _role(about, "cls_token", first), _role(about, "sep_token", last)
    missing = [token for token in (unknown, begins, ends) if token not in vocabulary]
    if missing:
        raise CannotConvert(f"vocab.txt has no {missing[0]}.")
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    made.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=about.get("tokenize_chinese_chars") is not False,
        strip_accents=about.get("strip_accents"),
        lowercase=about.get("do_lower_case") is not False,
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    roles = {_role(about, f"{role}_token", f"[{role.upper()}]") for role in ("pad", "mask")} & vocabulary.keys()
    return _around(made, vocabulary, begins, ends, [unknown, begins, ends, *sorted(roles)])


def _merges(source: Source) -> tokenizers.Tokenizer:
    vocabulary = dict(source.json("vocab.json"))
    lines = [line for line in source.text("merges.txt").split("\n") if line and not line.startswith("#version")]
    pairs = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    made = tokenizers.Tokenizer(models.BPE(vocabulary, pairs))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=bool(source.tokenizer_config.get("add_prefix_space"))
    )
    made.decoder = decoders.ByteLevel()
    specials = [token for token in ("<s>", "<pad>", "</s>", "<unk>", "<mask>") if token in vocabulary]
    return _around(made, vocabulary, "<s>", "</s>", specials)


def _t5(source: Source) -> tokenizers.Tokenizer:
    model, pieces = _pieces(source, "spiece.model")
    stated = source.tokenizer_config.get("extra_ids", _EXTRA_IDS)
    count = stated if isinstance(stated, int) and 0 <= stated <= 1000 else _EXTRA_IDS
    known = {piece for piece, _ in pieces}
    extra = [name for i in reversed(range(count)) if (name := f"<extra_id_{i}>") not in known]
    made = _unigram(source, "spiece.model", [*pieces, *((name, 0.0) for name in extra)], model.unk_id())
    end = model.id_to_piece(model.eos_id())
    made.post_processor = processors.TemplateProcessing(f"$A {end}", special_tokens=[(end, model.eos_id())])
    controls = [model.id_to_piece(id) for id in range(len(pieces)) if model.is_control(id) or model.is_unknown(id)]
    made.add_special_tokens([*controls, *extra])
    return made


def _xlm_roberta(source: Source) -> tokenizers.Tokenizer:
    name = "sentencepiece.bpe.model"
    _, pieces = _pieces(source, name)
    first = ["<s>", "<pad>", "</s>", "<unk>"]  # the file has three of these, in another order
    table = [*((token, 0.0) for token in first), *pieces[3:], ("<mask>", 0.0)]
    made = _unigram(source, name, table, first.index("<unk>"))
    vocabulary = {token: id for id, (token, _) in enumerate(table)}
    return _around(made, vocabulary, "<s>", "</s>", [*first, "<mask>"])


def _pieces(source: Source, name: str) -> tuple[Any, list[tuple[str, float]]]:
    model = sentencepiece.SentencePieceProcessor(model_file=str(source.path(name)))
    return model, [(model.id_to_piece(id), float(model.get_score(id))) for id in range(model.get_piece_size())]


def _unigram(source: Source, name: str, pieces: list[tuple[str, float]], unknown: int) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.Unigram(pieces, unknown))
    characters = _character_map(source.path(name).read_bytes())
    if characters:
        made.normalizer = normalizers.Precompiled(characters)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.decoder = decoders.Metaspace()
    return made


def _around(
    made: tokenizers.Tokenizer, vocabulary: Mapping[str, int], begins: str, ends: str, specials: Sequence[str]
) -> tokenizers.Tokenizer:
    around = [(token, vocabulary[token]) for token in dict.fromkeys((begins, ends))]
    made.post_processor = processors.TemplateProcessing(f"{begins} $A {ends}", special_tokens=around)
    made.add_special_tokens(list(dict.fromkeys(specials)))
    return made


def _role(about: Mapping[str, Any], role: str, usual: str) -> str:
    stated = about.get(role)
    found = stated.get("content") if isinstance(stated, Mapping) else stated
    return found if isinstance(found, str) and found else usual


def _character_map(model: bytes) -> bytes:
    """The character map that a sentencepiece model applies before it cuts, a field of its protocol buffer."""
    for number, value in _fields(model):
        if number == 3:
            return next((inner for field, inner in _fields(value) if field == 2), b"")
    return b""


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The byte fields of a protocol buffer, by their numbers."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise CannotConvert("A sentencepiece model is cut off.")
            yield key >> 3, message[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise CannotConvert("A sentencepiece model is damaged.")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise CannotConvert("A sentencepiece model is cut off.")
