"""Text to ids and back, the same for sentencepiece models and ``tokenizer.json`` files (`models.tokenizer_json`).

`models.tokenizer_base` has the contract. This module knows nothing of templates, weights or requests.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from models.cards import ModelCard
from models.pieces import piece_bytes
from models.tables import ManifestError
from models.tokenizer_base import Common, require_unicode
from models.tokenizer_base import Form as Form
from models.tokenizer_base import Pair as Pair
from models.tokenizer_base import Segment as Segment
from models.tokenizer_base import Span as Span
from models.tokenizer_base import Special as Special
from models.tokenizer_base import Tokenizer as Tokenizer
from models.tokenizer_json import HuggingFaceTokenizer as HuggingFaceTokenizer
from models.vocabulary import read_target_vocabulary, read_vocabulary

UNKNOWN = "<unk>"
_LANGUAGE = re.compile(r">>.+<<")


def load_tokenizer(card: ModelCard) -> Tokenizer:
    """The tokenizer of a model folder, checked against its vocabulary file.

    Raises:
        ManifestError: the file cannot be read, or the model's vocabulary differs from the tokenizer's.
    """
    file, target_file = card.path(card.tokenizer.file), card.tokenizer.target_file
    vocabulary = read_vocabulary(card.folder)
    source_size = len(vocabulary)
    if (written := read_target_vocabulary(card.folder)) is not None:
        vocabulary = list(dict.fromkeys([*vocabulary, *written]))
    try:
        tokenizer: Tokenizer
        if card.tokenizer.kind == "sentencepiece":
            tokenizer = SentencePieceTokenizer(file)
        elif card.tokenizer.kind == "sentencepiece-vocabulary":
            tokenizer = VocabularyTokenizer(
                vocabulary, file, card.path(target_file) if target_file else file, source_size
            )
        else:
            template = card.generation.template if card.generation is not None else None
            chat = card.path(template).read_text("utf-8") if template is not None else ""
            tokenizer = HuggingFaceTokenizer(file, chat)
    except Exception as error:  # both libraries raise any class
        raise ManifestError(file, f"is not a {card.tokenizer.kind} tokenizer") from error
    if len(vocabulary) < tokenizer.vocab_size:
        raise ManifestError(file, f"has {tokenizer.vocab_size} tokens, the model's vocabulary {len(vocabulary)}")
    for id in range(tokenizer.vocab_size):
        try:
            token = tokenizer.token(id)
        except IndexError:  # a gap in the ids: no text yields it
            continue
        if vocabulary[id] != token:
            raise ManifestError(file, f"token {id} is {token!r}, the model's vocabulary has {vocabulary[id]!r}")
    return tokenizer


class SentencePieceTokenizer(Common):
    """A sentencepiece model. Its control tokens are the pieces of type CONTROL."""

    def __init__(self, file: Path) -> None:
        model = sentencepiece.SentencePieceProcessor(model_file=str(file))
        self._model = model
        size = model.get_piece_size()
        special = {model.id_to_piece(id): id for id in range(size) if model.is_control(id)}
        super().__init__(size, special, piece_bytes("sentencepiece"))
        if model.unk_id() >= 0:
            self._exceptions[model.unk_id()] = " \u2047 ".encode()  # as the library decodes it
        self.adds_leading_space = self.token_bytes(self.encode("a")[0]).startswith(b" ")

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without control tokens."""
        require_unicode(text)
        ids: list[int] = self._model.encode(text, out_type=int)
        return ids

    def encode_row(self, text: str) -> list[int]:
        """As `encode`, with the control tokens that the tokenizer's file puts around a text."""
        return self.encode(text)

    def id(self, token: str) -> int:
        """The id of a token's string."""
        id: int = self._model.piece_to_id(token)  # the unknown token's id for an unknown string
        if self._model.id_to_piece(id) != token:
            raise KeyError(token)
        return id

    def token(self, id: int) -> str:
        """The string of a token, as in the model's vocabulary file."""
        piece: str = self._model.id_to_piece(id)
        return piece


class VocabularyTokenizer(Common):
    """A sentencepiece model that cuts texts, with a separate vocabulary: an id is a row of the vocabulary.

    The tokenizers of M2M100 and of Marian, which has a sentencepiece model for each language, are of this kind. Tokens
    of the vocabulary that are not pieces (names of languages, the end token) are control tokens. The unknown token is a
    control token too: it adds no text, as in the original. If a translator has a vocabulary for each language, this
    class joins both: first the tokens that the model reads, then those that it only writes.

    Args:
        vocabulary: the tokens.
        file: the sentencepiece model that cuts texts.
        target_file: the sentencepiece model of the other language; the same file if both share one.
        source_size: the number of tokens that the model reads; it only writes the others. None: it reads all.
    """

    def __init__(
        self, vocabulary: Sequence[str], file: Path, target_file: Path, source_size: int | None = None
    ) -> None:
        self._model = sentencepiece.SentencePieceProcessor(model_file=str(file))
        self._vocabulary = vocabulary
        self._ids = {token: id for id, token in enumerate(vocabulary)}
        self._unknown = self._ids[UNKNOWN]
        models = [self._model, sentencepiece.SentencePieceProcessor(model_file=str(target_file))]
        pieces = {piece for model in models for piece in _plain_pieces(model)}
        special = {token: id for token, id in self._ids.items() if token not in pieces}
        super().__init__(len(vocabulary), special, piece_bytes("sentencepiece"))
        read = set(vocabulary[:source_size])
        self._plain = {piece: self._ids[piece] for piece in pieces & read}
        first: list[str] = self._model.encode("a", out_type=str)
        self.adds_leading_space = first[0].startswith("\u2581")

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without control tokens."""
        require_unicode(text)
        return [self._plain.get(piece, self._unknown) for piece in self._model.encode(text, out_type=str)]

    def encode_row(self, text: str) -> list[int]:
        """As `encode`, with the control tokens that the tokenizer's file puts around a text."""
        return self.encode(text)

    def id(self, token: str) -> int:
        """The id of a token's string."""
        return self._ids[token]

    def token(self, id: int) -> str:
        """The string of a token, as in the model's vocabulary file."""
        return self._vocabulary[id]


def _plain_pieces(model: Any) -> Iterator[str]:
    """The pieces of plain text. Some of Marian's models also list the names of languages, ``>>fra<<``."""
    for id in range(model.get_piece_size()):
        piece: str = model.id_to_piece(id)
        if not (model.is_control(id) or model.is_unknown(id) or _LANGUAGE.fullmatch(piece)):
            yield piece
