"""How a reader recognizes calls that are written as text."""

from models.families import hub_hermes
from models.tokenizers import SentencePieceTokenizer
from server.tasks.generation.calling import CallReader
from server.tasks.generation.grammars import tool_signature


def test_a_mark_that_is_several_tokens_is_waited_for(tokenizer: SentencePieceTokenizer) -> None:
    (mark,) = hub_hermes.CALLS_BEGIN
    assert mark not in tokenizer.special_tokens
    reader = CallReader.of(hub_hermes, tokenizer, [tool_signature("book", {}, "tools", strict=False)])
    assert reader.begins_tokens == len(tokenizer.encode(mark)) > 1
