"""The same work twice: as HTTP requests and as an engine's rows, made by the server's own text code.

What an engine is given must be equal on both sides, token for token, or a comparison says nothing.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, cast

from load_tests.client import post
from load_tests.texts import chats, sentences
from models.registry import ModelCard
from models.tokenizers import load_tokenizer
from server.batching.batcher import Batcher
from server.serving.registry import ModelRegistry
from server.tasks.model import Model, Supervised

MAX_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one model, and the bodies of the requests that ask for them."""

    unit: str
    rows: Sequence[Sequence[Any]]
    path: str
    inputs: Sequence[Any]
    common: dict[str, Any]
    max_tokens: int = 0

    @property
    def units(self) -> int:
        """The work of all rows together, in texts or in generated tokens."""
        return len(self.rows) * max(1, self.max_tokens)

    def requests(self, list_size: int = 0) -> Iterator[tuple[bytes, float]]:
        """Requests without end, each with its worth.

        Args:
            list_size: so many inputs a request; 0: one, not in a list.
        """
        worth = max(1, self.max_tokens)
        if list_size == 0:
            field = "messages" if self.max_tokens else "input"
            made = [(post(self.path, {**self.common, field: item}), float(worth)) for item in self.inputs]
        else:
            lists = [self.inputs[i : i + list_size] for i in range(0, len(self.inputs), list_size)]
            made = [(post(self.path, {**self.common, "input": items}), float(len(items))) for items in lists]
        return cycle(made)


class _Ready:
    """An engine that is never run."""

    state = "ready"


class _Line:
    """A line that keeps the rows it is given."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def submit(self, rows: Sequence[Any]) -> None:
        """Take the rows of a request."""
        self.rows += rows


def rows_for(card: ModelCard, count: int = 192, max_tokens: int = MAX_TOKENS, *, stream: bool = False) -> Rows:
    """Sentences for classifiers and translators, conversations for generators."""
    tokenizer = load_tokenizer(card)
    engine, line = cast(Supervised, _Ready()), _Line()
    registry = ModelRegistry([Model(card, tokenizer, engine, cast(Batcher[Any, Any, Any], line))])
    if card.task == "generation":
        task = registry.generator(card.id)
        talks = chats(count)
        rows = [tokenizer.tokens(task.chat_prompt(talk, None)) for talk in talks]
        common = {"model": card.id, "max_tokens": max_tokens, "ignore_eos": True, "temperature": 0, "stream": stream}
        return Rows("token", rows, "/v1/chat/completions", talks, common, max_tokens)
    texts = sentences(count)
    if card.task == "translation":
        asyncio.run(registry.translator(card.id).begin(texts, "en", "de"))
        sources = [row.source for row in line.rows]
        common = {"model": card.id, "source": "en", "target": "de"}
        return Rows("text", sources, "/v1/translations", texts, common)
    path = "/v1/sentiment" if card.task == "classification" else "/v1/embeddings"
    return Rows("text", [tokenizer.encode_row(text) for text in texts], path, texts, {"model": card.id})
