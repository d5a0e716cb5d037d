"""What the assistant's calls may look like: every needed argument, none twice, in any order the model likes."""

from itertools import permutations

import pytest
from llguidance import LLMatcher, LLTokenizer

from models.families.assistant_grammar import ARGUMENT, CALL, VALUE, call_grammar
from models.signatures import Signature
from server.tasks.generation.grammars import tool_signature

NEEDED = ("city", "day")


def tool(name: str, count: int, needed: tuple[str, ...] = NEEDED, *, strict: bool = True) -> Signature:
    names = ("city", "day", "hour", *(f"more{i}" for i in range(count - 3)))[:count]
    parameters = {"type": "object", "properties": {one: {"type": "string"} for one in names}, "required": list(needed)}
    return tool_signature(name, parameters, "tools", strict=strict)


def accepts(tools: list[Signature], *calls: tuple[str, ...]) -> bool:
    """Whether these calls, each a function's name and its arguments' names, are a completion."""
    text = "".join(CALL + name + "".join(f"{ARGUMENT}{one}{VALUE}x" for one in rest) for name, *rest in calls)
    grammar = call_grammar(tools, required=True, several=True)
    for special in (CALL, ARGUMENT, VALUE):  # bytes have no special tokens: the names stand for themselves
        grammar = grammar.replace(special, f'"{special}"')
    grammar = grammar.replace(r"\x00-\x1f", r"<\x00-\x1f")
    tokenizer = LLTokenizer("byte")
    matcher = LLMatcher(tokenizer, grammar)
    return bool(matcher.consume_tokens(tokenizer.tokenize_str(text))) and bool(matcher.is_accepting())


@pytest.mark.parametrize("strict", [True, False])
def test_arguments_come_in_any_order(strict: bool) -> None:
    tools = [tool("book", 3, strict=strict)]
    for names in permutations(("city", "day", "hour")):
        assert accepts(tools, ("book", *names))
    assert accepts(tools, ("book", "day", "city"))


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("count", [3, 9, 12])
def test_a_needed_argument_is_not_left_out(count: int, strict: bool) -> None:
    tools = [tool("book", count, strict=strict)]
    assert accepts(tools, ("book", "city", "day"))
    assert not accepts(tools, ("book", "city"))
    assert not accepts(tools, ("book", "day", "hour"))
    assert not accepts(tools, ("book",))


@pytest.mark.parametrize("strict", [True, False])
def test_no_needed_argument_comes_twice(strict: bool) -> None:
    for count in (3, 12):
        assert not accepts([tool("book", count, strict=strict)], ("book", "city", "day", "city"))
    assert not accepts([tool("book", 3, strict=strict)], ("book", "city", "hour", "day", "hour"))


def test_of_many_arguments_those_of_a_strict_tool_come_in_the_schemas_order() -> None:
    tools = [tool("book", 12)]
    assert accepts(tools, ("book", "city", "day", "hour", "more4"))
    assert not accepts(tools, ("book", "day", "city"))
    assert accepts([tool("book", 12, strict=False)], ("book", "more4", "day", "hour", "city", "hour"))


def test_no_needed_argument_is_left_out_where_they_are_too_many_to_count() -> None:
    many = tuple(f"more{i}" for i in range(9))
    tools = [tool("book", 12, (*NEEDED, *many), strict=False)]
    assert accepts(tools, ("book", "city", "day", *many))
    assert not accepts(tools, ("book", "city", "day", *many[1:]))


def test_every_tool_has_arguments_of_its_own() -> None:
    tools = [tool("book", 3), tool("cancel", 1, ("city",)), tool("list", 0, ())]
    assert accepts(tools, ("cancel", "city"), ("list",), ("book", "day", "city"))
    assert not accepts(tools, ("cancel", "day"))
    assert not accepts(tools, ("list", "city"))


def test_many_tools_make_no_endless_grammar() -> None:
    tools = [tool(f"tool{i}", 12, strict=False) for i in range(128)]
    assert len(call_grammar(tools, required=False, several=True)) < 200_000


def test_arguments_that_are_not_listed_cannot_make_up_a_number() -> None:
    def made(strict: bool) -> Signature:
        parameters = {"type": "object", "properties": {"a": {"minimum": 1, "maximum": 0, "type": "integer"}}}
        return tool_signature("book", {**parameters, "minProperties": 1}, "tools", strict=strict)

    with pytest.raises(ValueError, match="minProperties"):
        call_grammar([made(True)], required=True, several=True)
    assert call_grammar([made(False)], required=True, several=True)
