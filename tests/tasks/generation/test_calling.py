"""How a reader recognizes calls that are written as text."""

from models.tokenizers import SentencePieceTokenizer
from server.tasks.generation.calling import CallReader
from server.tasks.generation.grammars import tool_signature
from tests.call_templates import HERMES, form_of


def test_a_mark_that_is_several_tokens_is_waited_for(tokenizer: SentencePieceTokenizer) -> None:
    form = form_of(HERMES)
    (mark,) = form.begins
    assert mark not in tokenizer.special_tokens
    reader = CallReader.of(form, tokenizer, [tool_signature("book", {}, "tools", strict=False)])
    assert reader.begins_tokens == len(tokenizer.encode(mark)) > 1
