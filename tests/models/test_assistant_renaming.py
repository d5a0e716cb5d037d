"""Renamed tools and arguments: the same everywhere in a dialogue, all different, values and words untouched."""

import random

from models.families.hearth_assistant import Call, Message, Tool
from models.recipes.assistant.renaming import renamed

TOOLS = [
    Tool("FindRestaurants", ("cuisine", "city"), ("price_range",)),
    Tool("ReserveRestaurant", ("restaurant_name", "city", "time"), ("party_size", "date")),
]
WORDS = ["Lantern", "quartz", "meadow", "harbour"]
MESSAGES = [
    Message("user", "A table in the city: San Jose, please."),
    Message("assistant", "", (Call("FindRestaurants", {"cuisine": "Thai", "city": "San Jose"}),)),
    Message("tool", "3 results; city: San Jose; restaurant_name: city: Lights; phone: 1"),
    Message("assistant", "How about City Lights?"),
]


def keys(tools: list[Tool]) -> list[str]:
    return [key for tool in tools for key in (*tool.required, *tool.optional)]


def test_calls_use_the_names_that_are_listed() -> None:
    changed = 0
    for seed in range(200):
        messages, tools = renamed(MESSAGES, TOOLS, WORDS, random.Random(seed))
        find = tools[0]
        (call,) = messages[1].calls
        assert call.name == find.name
        assert tuple(call.arguments) == find.required
        assert list(call.arguments.values()) == ["Thai", "San Jose"]
        assert f"; {find.required[1]}: San Jose; " in messages[2].content
        changed += find.required[1] != "city"
    assert changed > 100


def test_tools_get_other_nouns_and_words_that_no_service_has() -> None:
    names = {renamed([], TOOLS, WORDS, random.Random(seed))[1][0].name.casefold() for seed in range(200)}
    assert [name for name in names if "diners" in name]
    assert [name for name in names if any(word.casefold() in name for word in WORDS)]
    assert "findrestaurants" in names


def test_no_two_arguments_become_one() -> None:
    before = keys(TOOLS)
    for seed in range(200):
        _, tools = renamed(MESSAGES, TOOLS, WORDS, random.Random(seed))
        pairs = set(zip(before, keys(tools), strict=True))
        assert len(pairs) == len(dict(pairs)) == len({new for _, new in pairs})
        assert len({tool.name for tool in tools}) == len(tools)


def test_what_people_say_stays() -> None:
    messages, _ = renamed(MESSAGES, TOOLS, WORDS, random.Random(1))
    assert [m.content for m in messages if m.role != "tool"] == [m.content for m in MESSAGES if m.role != "tool"]


def test_the_types_go_with_the_names() -> None:
    tool = Tool("FindRestaurants", ("cuisine",), ("party_size",), {"cuisine": "string", "party_size": "integer"})
    for seed in range(50):
        _, (found,) = renamed([], [tool], WORDS, random.Random(seed))
        assert found.types == {found.required[0]: "string", found.optional[0]: "integer"}
