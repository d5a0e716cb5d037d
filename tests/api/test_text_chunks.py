"""Filling in text gives byte for byte what encoding the chunk would."""

import pytest

from server.api import sse
from server.api.openai.streaming import TextChunks
from server.api.schemas.chat import ChatChunk, ChatDelta, ChunkChoice


def chunk(index: int, text: str) -> ChatChunk:
    choice = ChunkChoice(index=index, delta=ChatDelta(content=text), logprobs=None, finish_reason=None)
    return ChatChunk(
        id='chatcmpl-"1"', object="chat.completion.chunk", created=1, model="m\\", system_fingerprint="f",
        choices=[choice],
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "plain", 'a "quote"', "back\\slash", "line\nbreak\r\t", "ü 😀 \u2028", "\x00\x1f%b"]
)
def test_a_filled_chunk_is_the_encoded_chunk(text: str) -> None:
    chunks = TextChunks(chunk)
    for index in (0, 3, 0):
        assert chunks.encode(index, text) == sse.encode(chunk(index, text))
