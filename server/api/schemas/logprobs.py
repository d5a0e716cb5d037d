"""Log-probabilities of an answer's tokens, as chat and responses tell them."""

from collections.abc import Iterable

from typing_extensions import TypedDict

from server.api.schemas.base import ResponseBody
from server.tasks.logprobs import TokenText


class TokenLogprob(TypedDict):
    """A token and its log-probability. Dictionaries, since an answer can have tens of thousands."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenLogprob(TokenLogprob):
    """A token of the answer."""

    top_logprobs: list[TokenLogprob]


def chosen_logprobs(tokens: Iterable[TokenText], top: int) -> list[ChosenLogprob]:
    """Encode tokens, each with ``top`` of the likeliest at its place."""
    return [
        {
            "token": token.text,
            "logprob": token.logprob,
            "bytes": list(token.bytes),
            "top_logprobs": [
                {"token": one.text, "logprob": one.logprob, "bytes": list(one.bytes)} for one in token.top[:top]
            ],
        }
        for token in tokens
    ]


class Logprobs(ResponseBody):
    """The tokens of an answer, or of a stretch of one. Made without them; ``token_json`` fills them in, encoded."""

    content: list[ChosenLogprob]
    refusal: None = None
