"""Log-probabilities of a chat's tokens as JSON, byte for byte as their schema would write them.

An answer of a thousand tokens may have twenty thousand of them: an object each would take longer than the model. So
what is the same for each occurrence of a token is encoded once, and a whole answer's is put together in a few passes.
"""

from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary, proxy

from pydantic_core import to_json

from server.engines.rows import read_top
from server.tasks.results import TokenLogprobs, TokenTexts

KEPT_PIECES = 65_536
_PLACE = b'"logprobs":{"content":['
"""Of ``Logprobs`` without tokens. No text can look like it: a quotation mark in one is escaped."""


class _Pieces(dict[int, bytes]):
    """The JSON of an id, made at its first use."""

    def __init__(self, write: Callable[[int], bytes]) -> None:
        self._write = write

    def __missing__(self, id: int) -> bytes:
        if len(self) == KEPT_PIECES:
            self.clear()
        piece = self[id] = self._write(id)
        return piece


class _Writer:
    """Writes one model's tokens: between two pieces stands a log-probability."""

    def __init__(self, texts: TokenTexts) -> None:
        texts = proxy(texts)  # a writer is kept as long as its texts, which it must not keep alive itself
        self._before = _Pieces(lambda id: b'},{"token":%b,"logprob":' % to_json(texts.read(id)[0]))
        self._after = _Pieces(lambda id: b',"bytes":%b' % to_json(list(texts.read(id)[1])))

    def write(self, told: TokenLogprobs, top: int) -> bytes:
        ids: list[int] = []
        logprobs: list[float] = []
        chosen = []
        for token in told.tokens:
            chosen.append(3 * len(ids))
            ids.append(token.id)
            logprobs.append(token.logprob or 0.0)
            if top and token.top:
                likeliest, values = read_top(token.top)
                ids += likeliest[:top]
                logprobs += values[:top]
        parts = [b""] * (3 * len(ids))
        parts[0::3] = map(self._before.__getitem__, ids)
        parts[1::3] = to_json(logprobs, inf_nan_mode="null")[1:-1].split(b",")
        parts[2::3] = map(self._after.__getitem__, ids)
        # Pieces fit between two of the likeliest; the first of a list has nothing to close.
        ends = [*chosen[1:], len(parts)]
        for at, end in zip(chosen, ends, strict=True):
            parts[at + 2] += b',"top_logprobs":['
            if end > at + 3:
                parts[at + 3] = parts[at + 3][2:]
                parts[end - 1] += b"}"
            parts[end - 1] += b"]"
        parts[0] = parts[0][2:]
        return b"".join((*parts, b"}"))


class TokenJson:
    """Writes the tokens of all models of one application. What it keeps of a model goes with the model."""

    def __init__(self) -> None:
        self._writers: WeakKeyDictionary[TokenTexts, _Writer] = WeakKeyDictionary()

    def content(self, told: TokenLogprobs, top: int) -> bytes:
        """The items of ``Logprobs.content``, each token with ``top`` of the likeliest at its place."""
        if not told.tokens or told.texts is None:
            return b""
        if (writer := self._writers.get(told.texts)) is None:
            writer = self._writers[told.texts] = _Writer(told.texts)
        return writer.write(told, top)


def filled(encoded: bytes, contents: Iterable[bytes]) -> bytes:
    """An encoded answer whose ``Logprobs`` have no tokens, with those of each in order."""
    before, *after = encoded.split(_PLACE)
    return before + b"".join(_PLACE + one + rest for one, rest in zip(contents, after, strict=True))
