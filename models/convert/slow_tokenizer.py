"""Makes a ``tokenizer.json`` for repositories with older files only: a sentencepiece model, or a vocabulary and merges.

The result equals that of `models.convert.gguf_tokenizer` for the same facts in a GGUF.
"""

from collections.abc import Mapping
from typing import Any

import sentencepiece

from models.convert.contract import CannotConvert
from models.convert.gguf_tokenizer import tokenizer_files
from models.convert.source import Source

PIECES = ("tokenizer.model", "sentencepiece.bpe.model")
_NORMAL, _UNKNOWN, _CONTROL, _USER, _BYTE = 1, 2, 3, 4, 6
_CUTS = {"gpt2": "gpt-2", "qwen2": "qwen2", "qwen3": "qwen2", "starcoder2": "starcoder"}
"""The way to cut texts before merging, by ``model_type``, since the older files do not state it."""


def slow_tokenizer(source: Source) -> str | None:
    """The text of a ``tokenizer.json``; None if the repository lacks the files for it.

    Raises:
        CannotConvert: a file is damaged, or is not a BPE.
    """
    found = next((name for name in PIECES if source.has(name)), None)
    if found is not None:
        facts = _pieces(source, found)
    elif source.has("vocab.json") and source.has("merges.txt") and source.model_type in _CUTS:
        facts = _merges(source, _CUTS[source.model_type])
    else:
        return None
    return tokenizer_files({f"tokenizer.ggml.{key}": value for key, value in facts.items()})["tokenizer.json"]


def _pieces(source: Source, name: str) -> dict[str, Any]:
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(source.path(name)))
    except Exception as error:  # the library raises any class
        raise CannotConvert(f"{name} cannot be read: {error}") from error
    size = model.get_piece_size()
    kinds = [
        _UNKNOWN
        if model.is_unknown(id)
        else _CONTROL
        if model.is_control(id)
        else _BYTE
        if model.is_byte(id)
        else _NORMAL
        for id in range(size)
    ]
    scores = [float(model.get_score(id)) for id in range(size)]
    ranks = [score for score, kind in zip(scores, kinds, strict=True) if kind == _NORMAL and score]
    if any(not score.is_integer() for score in ranks):
        raise CannotConvert(f"{name} is no BPE, and {source.repository} has no tokenizer.json.")
    tokens, kinds = _with_added(source, [model.id_to_piece(id) for id in range(size)], kinds)
    return {
        "model": "llama",
        "tokens": tokens,
        "token_type": kinds,
        "scores": scores + [0.0] * (len(tokens) - size),
        "unknown_token_id": model.unk_id(),
        "add_space_prefix": model.encode("a", out_type=str)[0].startswith("\u2581"),
    }


def _merges(source: Source, cut: str) -> dict[str, Any]:
    vocabulary = source.json("vocab.json")
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
        raise CannotConvert("vocab.json does not number its tokens from 0 on.")
    lines = [line for line in source.text("merges.txt").split("\n") if line and not line.startswith("#version")]
    tokens, kinds = _with_added(source, tokens, [_NORMAL] * len(tokens))
    return {"model": "gpt2", "pre": cut, "tokens": tokens, "token_type": kinds, "merges": lines}


def _with_added(source: Source, tokens: list[str], kinds: list[int]) -> tuple[list[str], list[int]]:
    """The tokens that were added to a tokenizer later, at their places."""
    added: dict[int, tuple[str, bool]] = {}
    for token, id in source.json("added_tokens.json").items():
        added[id] = (token, True)
    for id, about in (source.tokenizer_config.get("added_tokens_decoder") or {}).items():
        if str(id).isdecimal() and isinstance(about, Mapping):
            added[int(id)] = (str(about.get("content")), bool(about.get("special")))
    for id in sorted(id for id in added if isinstance(id, int)):
        token, special = added[id]
        if id < len(tokens) and tokens[id] == token:
            kinds[id] = _CONTROL if special else kinds[id]
        elif id == len(tokens):
            tokens.append(token)
            kinds.append(_CONTROL if special else _USER)
    return tokens, kinds
