"""Text to ids and back, the same for sentencepiece models and ``tokenizer.json`` files.

Plain text never yields a control token: what a user types cannot end a turn. Control tokens come only from
`Special` segments. Nothing is truncated or padded. Knows nothing of templates, models' weights or requests.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sentencepiece
import tokenizers

from models.cards import ModelCard
from models.pieces import PieceBytes, piece_bytes
from models.tables import ManifestError
from models.vocabulary import read_vocabulary

UNKNOWN = "<unk>"
_LANGUAGE = re.compile(r">>.+<<")


@dataclass(frozen=True, slots=True)
class Special:
    """A special token in a row of segments; any other segment is plain text."""

    token: str


Segment = Special | str


class Tokenizer(Protocol):
    """One model's tokenizer. Safe to use from several threads."""

    @property
    def vocab_size(self) -> int:
        """How many ids there are; all of them are below it."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The control tokens: those that plain text never yields."""

    @property
    def adds_leading_space(self) -> bool:
        """Whether the first piece of a text carries a space that is not in the text."""

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without control tokens.

        Raises:
            ValueError: the text has a lone surrogate, so it is no Unicode text.
        """

    def encode_row(self, text: str) -> list[int]:
        """As `encode`, with the control tokens that the tokenizer's own file puts around a text ([CLS], [SEP])."""

    def encode_with_specials(self, segments: Iterable[Segment]) -> list[int]:
        """The ids of special tokens and plain text, each text encoded on its own.

        Raises:
            KeyError: there is no such special token.
        """

    def id(self, token: str) -> int:
        """The id of a token's string.

        Raises:
            KeyError: there is no such token.
        """

    def token(self, id: int) -> str:
        """The string of a token, as in the model's vocabulary file.

        Raises:
            IndexError: there is no such id.
        """

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The strings of tokens, as CTranslate2's Translator and Generator take them."""

    def token_bytes(self, id: int) -> bytes:
        """What a token adds to the text, as UTF-8 that may be incomplete; empty for control tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD."""


def load_tokenizer(card: ModelCard) -> Tokenizer:
    """The tokenizer of a model folder, checked against its vocabulary file.

    Raises:
        ManifestError: the file cannot be read, or the model's vocabulary differs from the tokenizer's.
    """
    file, target_file = card.path(card.tokenizer.file), card.tokenizer.target_file
    vocabulary = read_vocabulary(card.folder)
    try:
        tokenizer: Tokenizer
        if card.tokenizer.kind == "sentencepiece":
            tokenizer = SentencePieceTokenizer(file)
        elif card.tokenizer.kind == "sentencepiece-vocabulary":
            tokenizer = VocabularyTokenizer(vocabulary, file, card.path(target_file) if target_file else file)
        else:
            tokenizer = HuggingFaceTokenizer(file)
    except Exception as error:  # both libraries raise what they like
        raise ManifestError(file, f"is not a {card.tokenizer.kind} tokenizer") from error
    if len(vocabulary) < tokenizer.vocab_size:
        raise ManifestError(file, f"has {tokenizer.vocab_size} tokens, the model's vocabulary {len(vocabulary)}")
    for id in range(tokenizer.vocab_size):
        try:
            token = tokenizer.token(id)
        except IndexError:  # a gap in the ids: nothing can yield it
            continue
        if vocabulary[id] != token:
            raise ManifestError(file, f"token {id} is {token!r}, the model's vocabulary has {vocabulary[id]!r}")
    return tokenizer


class _Common:
    """What both kinds do alike. No tables of the vocabulary: the libraries have them."""

    adds_leading_space = False

    def __init__(self, size: int, special: Mapping[str, int], to_bytes: PieceBytes) -> None:
        self.vocab_size = size
        self.special_tokens = dict(special)
        self._to_bytes = to_bytes
        # Ids that do not mean what their string says: control tokens mean nothing.
        self._exceptions = dict.fromkeys(special.values(), b"")

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def token(self, id: int) -> str:
        raise NotImplementedError

    def encode_with_specials(self, segments: Iterable[Segment]) -> list[int]:
        ids: list[int] = []
        for segment in segments:
            if isinstance(segment, Special):
                ids.append(self.special_tokens[segment.token])
            else:
                ids += self.encode(segment)
        return ids

    def tokens(self, ids: Iterable[int]) -> list[str]:
        return [self.token(id) for id in ids]

    def token_bytes(self, id: int) -> bytes:
        known = self._exceptions.get(id)
        return self._to_bytes(self.token(id)) if known is None else known

    def decode(self, ids: Sequence[int]) -> str:
        parts: list[bytes] = []
        at_start = self.adds_leading_space
        for id in ids:
            piece = self.token_bytes(id)
            if piece and at_start:
                piece, at_start = piece.removeprefix(b" "), False
            elif not piece:  # a control token: the text after it was encoded on its own
                at_start = self.adds_leading_space
            parts.append(piece)
        return b"".join(parts).decode("utf-8", "replace")


class SentencePieceTokenizer(_Common):
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
        """See `Tokenizer`."""
        _require_unicode(text)
        ids: list[int] = self._model.encode(text, out_type=int)
        return ids

    def encode_row(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self.encode(text)

    def id(self, token: str) -> int:
        """See `Tokenizer`."""
        id: int = self._model.piece_to_id(token)  # the unknown token's for what is none
        if self._model.id_to_piece(id) != token:
            raise KeyError(token)
        return id

    def token(self, id: int) -> str:
        """See `Tokenizer`."""
        piece: str = self._model.id_to_piece(id)
        return piece


class VocabularyTokenizer(_Common):
    """A sentencepiece model that cuts texts, and a vocabulary of its own: an id is a row of it.

    So are the tokenizers of Marian, whose two languages have a sentencepiece model each, and of M2M100. Tokens of the
    vocabulary that are no pieces (names of languages, the end token) are control tokens, and so is the unknown token:
    it writes nothing, as in the original.
    """

    def __init__(self, vocabulary: Sequence[str], file: Path, target_file: Path) -> None:
        self._model = sentencepiece.SentencePieceProcessor(model_file=str(file))
        self._vocabulary = vocabulary
        self._ids = {token: id for id, token in enumerate(vocabulary)}
        self._unknown = self._ids[UNKNOWN]
        models = [self._model, sentencepiece.SentencePieceProcessor(model_file=str(target_file))]
        pieces = {piece for model in models for piece in _plain_pieces(model)}
        special = {token: id for token, id in self._ids.items() if token not in pieces}
        super().__init__(len(vocabulary), special, piece_bytes("sentencepiece"))
        self._plain = {piece: self._ids[piece] for piece in pieces if piece in self._ids}
        first: list[str] = self._model.encode("a", out_type=str)
        self.adds_leading_space = first[0].startswith("\u2581")

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        _require_unicode(text)
        return [self._plain.get(piece, self._unknown) for piece in self._model.encode(text, out_type=str)]

    def encode_row(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self.encode(text)

    def id(self, token: str) -> int:
        """See `Tokenizer`."""
        return self._ids[token]

    def token(self, id: int) -> str:
        """See `Tokenizer`."""
        return self._vocabulary[id]


def _plain_pieces(model: Any) -> Iterator[str]:
    """The pieces that plain text is made of. Some models of Marian's list the names of languages, ``>>fra<<``, too."""
    for id in range(model.get_piece_size()):
        piece: str = model.id_to_piece(id)
        if not (model.is_control(id) or model.is_unknown(id) or _LANGUAGE.fullmatch(piece)):
            yield piece


class HuggingFaceTokenizer(_Common):
    """A ``tokenizer.json``. Its control tokens are the added tokens marked as special."""

    def __init__(self, file: Path) -> None:
        model = tokenizers.Tokenizer.from_file(str(file))
        model.no_truncation()
        model.no_padding()
        model.encode_special_tokens = True  # "[SEP]" that a user types is text
        self._model = model
        added = model.get_added_tokens_decoder()
        special = {token.content: id for id, token in sorted(added.items()) if token.special}
        super().__init__(max(model.get_vocab().values()) + 1, special, piece_bytes(file.read_text(encoding="utf-8")))
        self._exceptions |= {id: token.content.encode() for id, token in added.items() if not token.special}
        self.adds_leading_space = self.token_bytes(self.encode("a")[0]).startswith(b" ")

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._encode(text, around=False)

    def encode_row(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._encode(text, around=True)

    def id(self, token: str) -> int:
        """See `Tokenizer`."""
        id: int | None = self._model.token_to_id(token)
        if id is None:
            raise KeyError(token)
        return id

    def token(self, id: int) -> str:
        """See `Tokenizer`."""
        token: str | None = self._model.id_to_token(id)
        if token is None:
            raise IndexError(id)
        return token

    def _encode(self, text: str, around: bool) -> list[int]:
        _require_unicode(text)
        ids: list[int] = self._model.encode(text, add_special_tokens=around).ids
        return ids


def _require_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is a lone surrogate: this is no Unicode text") from None
