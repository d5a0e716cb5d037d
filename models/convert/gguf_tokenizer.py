"""Makes a ``tokenizer.json`` from the tokenizer in a GGUF.

The module knows two kinds: byte-level BPE with a named way to cut texts before it (``gpt2``), and sentencepiece's BPE,
whose merges follow from the scores of its pieces (``llama``). The ids of a text equal llama.cpp's, with one exception:
a tokenizer whose original brings texts into NFC does so here too.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from models.convert.contract import CannotConvert

_CONTROL, _USER, _BYTE = 3, 4, 6
_SAMPLING: Mapping[str, str] = {
    "temperature": "general.sampling.temp",
    "top_k": "general.sampling.top_k",
    "top_p": "general.sampling.top_p",
    "min_p": "general.sampling.min_p",
    "repetition_penalty": "general.sampling.penalty_repeat",
}

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"
_AFTER = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = rf"{_BEFORE}{_UPPER}*{_LOWER}+|{_BEFORE}{_UPPER}+{_LOWER}*|\p{{N}}|{_AFTER}"
_GPT4O = (
    rf"{_BEFORE}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_BEFORE}{_UPPER}+{_LOWER}*{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_AFTER}"
)
_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
)


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _cut(*patterns: str) -> list[dict[str, Any]]:
    return [*map(_split, patterns), _byte_level(False)]


def _named(names: str, cuts: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return dict.fromkeys(names.split(), cuts)


_DIGITS: dict[str, Any] = {"type": "Digits", "individual_digits": True}
_WORDS = [_byte_level(True)]
_DIGITS_AND_WORDS = [_DIGITS, *_WORDS]
CUTS: Mapping[str, list[dict[str, Any]]] = {
    **_named("gpt-2 mpt olmo phi-2 exaone4 granite-docling trillion mellum", _WORDS),
    **_named("smollm starcoder refact command-r codeshell exaone minerva-7b", _DIGITS_AND_WORDS),
    **_named("llama-bpe llama3 llama-v3 falcon3 pixtral lfm2 smaug-bpe dbrx", _cut(_LLAMA3)),
    **_named("qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan", _cut(_QWEN2)),
    **_named("gpt-4o llama4 kanana2", _cut(_GPT4O)),
    **_named("deepseek-v3 hunyuan-dense", _cut(*_DEEPSEEK3)),
    "qwen35": _cut(_QWEN35),
    "tekken": _cut(_TEKKEN),
    "minicpm5": _cut(r"\p{N}{1,3}", _LLAMA3),
    "deepseek-coder": [*map(_split, ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK)), _DIGITS, _byte_level(False)],
    "falcon": [
        {"type": "Punctuation", "behavior": "Contiguous"},
        *_WORDS,
        {"type": "Digits", "individual_digits": False},
        _split("[0-9][0-9][0-9]"),
    ],
}
"""The way to cut texts before merging, by ``tokenizer.ggml.pre``."""
_IGNORE_MERGES = {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2", "tekken", "minicpm5"}
"""Tokenizers that keep a whole piece as one token if it is a token, whatever the merges."""
_BEGIN_WITH_BOS = {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2", "tekken"}
_NFC = {"qwen2", "deepseek-r1-qwen"}


def tokenizer_files(facts: Mapping[str, Any]) -> dict[str, str]:
    """``tokenizer.json``, ``tokenizer_config.json`` and ``generation_config.json`` of a GGUF's facts.

    Raises:
        CannotConvert: the tokenizer is of an unknown kind.
    """
    kind, tokens = facts.get("tokenizer.ggml.model"), _strings(facts, "tokenizer.ggml.tokens")
    types = facts.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    if not isinstance(types, list) or len(types) != len(tokens):
        raise CannotConvert("The GGUF is damaged: its tokens have no types.")
    if kind == "gpt2":
        table = _byte_level_bpe(facts, tokens)
    elif kind == "llama":
        table = _scored_bpe(facts, tokens, types)
    else:
        raise CannotConvert(f"The GGUF's tokenizer is of the kind {str(kind)[:40]!r}; known here: gpt2, llama.")
    table["version"] = "1.0"
    table["added_tokens"] = [
        _added(id, token, is_special=type_ == _CONTROL)
        for id, (token, type_) in enumerate(zip(tokens, types, strict=True))
        if type_ in (_CONTROL, _USER)
    ]
    config, ends = _config(facts, tokens, begins=kind == "llama" or _pre(facts) in _BEGIN_WITH_BOS)
    return {
        "tokenizer.json": json.dumps(table, ensure_ascii=False),
        "tokenizer_config.json": json.dumps(config, ensure_ascii=False),
        "generation_config.json": json.dumps({"eos_token_id": ends, **_sampling(facts)}),
    }


def _sampling(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The GGUF's recommended sampling, by the names of ``generation_config.json``."""
    return {name: facts[key] for name, key in _SAMPLING.items() if key in facts}


def _byte_level_bpe(facts: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    pre = _pre(facts)
    cuts = CUTS.get(pre)
    if cuts is None:
        known = ", ".join(sorted(CUTS))
        raise CannotConvert(
            f"The GGUF names {pre[:40]!r} as the way its tokenizer cuts texts; known here: {known}. "
            "One made lately names it rightly, or take the original repository."
        )
    merges = [_pair(merge) for merge in _strings(facts, "tokenizer.ggml.merges")]
    return {
        "normalizer": {"type": "NFC"} if pre in _NFC else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "decoder": _byte_level(True),
        "model": _bpe(tokens, merges, None, ignore_merges=pre in _IGNORE_MERGES),
    }


def _scored_bpe(facts: Mapping[str, Any], tokens: Sequence[str], types: Sequence[int]) -> dict[str, Any]:
    scores = facts.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(tokens):
        raise CannotConvert("The GGUF is damaged: its pieces have no scores.")
    has_prefix = facts.get("tokenizer.ggml.add_space_prefix", True)
    escape: dict[str, Any] = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    back: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if has_prefix:
        back.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    prepend = [{"type": "Prepend", "prepend": "\u2581"}] if has_prefix else []
    unknown = facts.get("tokenizer.ggml.unknown_token_id", 0)
    if type(unknown) is not int or not 0 <= unknown < len(tokens):
        raise CannotConvert("The GGUF is damaged: its unknown token is none of its tokens.")
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, escape]},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": back},
        "model": _bpe(tokens, merges_of(tokens, scores, types), tokens[unknown], byte_fallback=_BYTE in types),
    }


def merges_of(tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> list[tuple[str, str]]:
    """The merges of a sentencepiece BPE: every pair of pieces that joins to a piece, the likelier piece first.

    Among pairs for the same piece the one with the longer left part comes first: so a run of one letter merges from its
    left end, as in sentencepiece.
    """
    plain = {token: id for id, token in enumerate(tokens) if types[id] not in (_CONTROL, _USER, _BYTE)}
    found = [
        (-scores[id], -cut, token[:cut], token[cut:])
        for token, id in plain.items()
        for cut in range(1, len(token))
        if token[:cut] in plain and token[cut:] in plain
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def _bpe(
    tokens: Sequence[str],
    merges: Sequence[tuple[str, str]],
    unknown: str | None,
    *,
    byte_fallback: bool = False,
    ignore_merges: bool = False,
) -> dict[str, Any]:
    vocabulary = {token: id for id, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise CannotConvert("The GGUF lists a token twice.")
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": unknown is not None,
        "byte_fallback": byte_fallback,
        "ignore_merges": ignore_merges,
        "vocab": vocabulary,
        "merges": merges,
    }


def _config(facts: Mapping[str, Any], tokens: Sequence[str], *, begins: bool) -> tuple[dict[str, Any], list[int]]:
    """``tokenizer_config.json``, and the ids that end a completion."""

    def id_of(role: str) -> int | None:
        id = facts.get(f"tokenizer.ggml.{role}_token_id")
        return id if type(id) is int and 0 <= id < len(tokens) else None

    config: dict[str, Any] = {"add_bos_token": bool(facts.get("tokenizer.ggml.add_bos_token", begins))}
    for role, name in (("bos", "bos"), ("eos", "eos"), ("unknown", "unk"), ("padding", "pad")):
        id = id_of(role)
        if id is not None:
            config[f"{name}_token"] = tokens[id]
    templates = {
        key.removeprefix("tokenizer.chat_template").removeprefix(".") or "default": text
        for key, text in facts.items()
        if key.startswith("tokenizer.chat_template") and isinstance(text, str)
    }
    if set(templates) == {"default"}:
        config["chat_template"] = templates["default"]
    elif templates:
        config["chat_template"] = [{"name": name, "template": text} for name, text in templates.items()]
    return config, [id for id in map(id_of, ("eos", "eot", "eom")) if id is not None]


def _added(id: int, token: str, *, is_special: bool) -> dict[str, Any]:
    sides = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id, "content": token, **sides, "special": is_special}


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge[1:].partition(" ")  # a part may begin with a space
    if not right:
        raise CannotConvert("The GGUF is damaged: a merge has no two parts.")
    return merge[0] + left, right


def _pre(facts: Mapping[str, Any]) -> str:
    return str(facts.get("tokenizer.ggml.pre", ""))


def _strings(facts: Mapping[str, Any], key: str) -> list[str]:
    found = facts.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise CannotConvert(f"The GGUF has no {key}: it holds no tokenizer.")
    return found
