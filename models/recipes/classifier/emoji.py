"""Adds emoji to the base model's WordPiece tokenizer.

Contract: a base `tokenizer.json` in, a Tokenizer of the same size out, and start vectors for the
new rows. BERT's vocabulary has hardly any emoji but almost a thousand unused rows, so emoji take
those, and start from the words of their Unicode names. It knows nothing of labels.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import torch
from tokenizers import Tokenizer

from models.recipes.classifier.encoder import SentenceEncoder

# Blocks whose characters people type: faces, hands, hearts, people, animals, food, objects.
_EMOJI_BLOCKS = ((0x1F600, 0x1F650), (0x1F440, 0x1F500), (0x1F900, 0x1FA00), (0x1F300, 0x1F400))
_EMOJI_OUTSIDE_BLOCKS = "❤♥💔☺☹✌✊✋☝✍✨✅❌❗❓⭐⚡☠☀☁☎☕⚽⛔✔✖♀♂♿🔥🔪🔫🔞🖕🖐🕺🚀🚗🚨🚫🚮🛑🤷🫶🫡🫠"
# Words of Unicode names without meaning.
_EMPTY_NAME_WORDS = frozenset({"face", "with", "sign", "symbol", "of", "and", "emoji", "black", "white"})


def emoji_characters() -> list[str]:
    """The characters that get rows of their own, in a fixed order."""
    chosen = list(dict.fromkeys(_EMOJI_OUTSIDE_BLOCKS))
    for start, end in _EMOJI_BLOCKS:
        chosen.extend(chr(point) for point in range(start, end))
    named = [character for character in chosen if unicodedata.name(character, "")]
    return list(dict.fromkeys(named))


def with_emoji(base_file: Path) -> Tokenizer:
    """The base tokenizer with emoji in place of `[unusedN]` rows.

    Emoji are added tokens, not plain vocabulary: WordPiece would otherwise see "great😀" as one
    unknown word.
    """
    description = json.loads(base_file.read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = description["model"]["vocab"]
    unused = sorted((i, token) for token, i in vocabulary.items() if token.startswith("[unused"))
    missing = [character for character in emoji_characters() if character not in vocabulary]
    for character, (row, token) in zip(missing, unused, strict=False):
        del vocabulary[token]
        vocabulary[character] = row
    added = description["added_tokens"]
    known = {token["content"] for token in added}
    rules = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    for character in emoji_characters():
        if character in vocabulary and character not in known:
            added.append({"id": vocabulary[character], "content": character, **rules})
    added.sort(key=lambda token: token["id"])
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def start_emoji_rows(encoder: SentenceEncoder, base: Tokenizer, tokenizer: Tokenizer) -> None:
    """Give each emoji that the base does not know the mean vector of the words of its Unicode name."""
    words = encoder.words.weight
    with torch.no_grad():
        for character in emoji_characters():
            if base.token_to_id(character) is not None:
                continue
            row = tokenizer.token_to_id(character)
            name = unicodedata.name(character).lower().replace("-", " ").split()
            told = " ".join(word for word in name if word not in _EMPTY_NAME_WORDS) or " ".join(name)
            pieces = tokenizer.encode(told, add_special_tokens=False).ids
            if row is not None and pieces:
                words[row] = words[torch.tensor(pieces)].mean(dim=0)
