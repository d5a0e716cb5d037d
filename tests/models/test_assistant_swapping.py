"""Values swapped in the assistant's training dialogues: everywhere the same, and only where they can be found."""

import random

import pytest

from models.families.hearth_assistant import Call, Message
from models.recipes.assistant.swapping import pools_of_values, with_swapped_values

POOLS = {"city": ("Ghent",), "hotel": ("Ghent",)}


def dialogue(said: str, city: str = "San Jose") -> list[Message]:
    return [
        Message("user", said),
        Message("assistant", "", (Call("Find", {"city": city, "day": "Monday"}),)),
        Message("tool", f"hotel: Inn of {city}"),
        Message("assistant", f"The Inn of {city}, on Monday?"),
    ]


def swapped(messages: list[Message], words: tuple[str, ...] = ("ghent",)) -> list[Message]:
    return with_swapped_values(messages, POOLS, words, random.Random(1))


def test_a_value_is_swapped_in_every_turn_call_and_result():
    out = swapped(dialogue("A room in San Jose on Monday."))
    city = out[1].calls[0].arguments["city"]
    assert set(city.split()) == {"Ghent"}
    assert out == dialogue(f"A room in {city} on Monday.", city)


def test_lower_case_stays_lower_case():
    out = swapped(dialogue("a room in san jose"))
    city = out[1].calls[0].arguments["city"]
    assert out[0].content == f"a room in {city.lower()}"
    assert city != city.lower()


@pytest.mark.parametrize(
    "said",
    [
        "A room, please.",
        "A room in San Jose, I mean in SJ.",
        "San Jose. Jose, that is.",
        "San Jose City",
        "in San Josette",
    ],
)
def test_a_value_not_said_in_full_or_also_said_in_part_stays(said: str):
    assert swapped(dialogue(said)) == dialogue(said)


def test_pools_hold_the_names_that_calls_give_to_open_arguments():
    calls = Call("Find", {"city": "Rome", "code": "FCO", "size": "large", "room": "1204"})
    open_arguments = frozenset({"city", "code", "room"})
    assert pools_of_values([[Message("assistant", "", (calls, calls))]], open_arguments) == {"city": ("Rome",)}
