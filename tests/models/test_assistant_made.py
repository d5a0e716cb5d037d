"""Made-up dialogues for the assistant, their days and times, and dialogues moved to another day."""

import random
import re
from datetime import date, timedelta
from itertools import pairwise

import pytest

from models.families.hearth_assistant import Call, Message
from models.recipes.assistant.days import WEEKDAYS, any_day, moved, said_day, said_time, says_today
from models.recipes.assistant.errands import ERRANDS
from models.recipes.assistant.made import made_dialogue
from models.recipes.assistant.practice import day_drill
from models.recipes.assistant.values import identifier
from models.recipes.assistant.whole import scenarios

WORDS = ("apple", "bridge", "Castle", "engine", "forest", "garden", "History", "island", "journey", "kitchen")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
MANY, RARE = 400, 4000


def test_the_same_seed_makes_the_same_dialogues():
    first, second = random.Random(3), random.Random(3)
    assert [made_dialogue(WORDS, first) for _ in range(20)] == [made_dialogue(WORDS, second) for _ in range(20)]
    assert day_drill(WORDS, first) == day_drill(WORDS, second)


def test_a_made_call_has_listed_names_and_all_that_is_required():
    rng = random.Random(1)
    for _ in range(RARE):
        messages, tools = made_dialogue(WORDS, rng)
        listed = {tool.name: tool for tool in tools}
        assert len(listed) == len(tools)
        for call in (call for message in messages for call in message.calls):
            tool = listed[call.name]
            assert set(tool.required) <= set(call.arguments) <= {*tool.required, *tool.optional}


def test_turns_alternate_and_each_call_has_its_result():
    rng = random.Random(2)
    follows = {"user": {"assistant"}, "assistant": {"user", "tool"}, "tool": {"assistant"}, "system": {"user"}}
    for _ in range(MANY):
        messages, _ = made_dialogue(WORDS, rng)
        for one, then in pairwise(messages):
            assert then.role in follows[one.role]
            assert (then.role == "tool") == bool(one.calls)


def test_a_made_call_is_made_once():
    rng = random.Random(7)
    for _ in range(RARE):
        calls = [(c.name, tuple(c.arguments.items())) for m in made_dialogue(WORDS, rng)[0] for c in m.calls]
        assert len(set(calls)) == len(calls)


def test_identifiers_and_names_of_made_calls_were_said_before():
    rng = random.Random(4)
    for _ in range(MANY):
        messages, _ = made_dialogue(WORDS, rng)
        for place, message in enumerate(messages):
            before = " ".join(m.content for m in messages[:place] if m.role != "assistant")
            for text in (v for call in message.calls for v in call.arguments.values()):
                assert text in before or DATE.fullmatch(text) or re.fullmatch(r"\d\d:\d\d|\d+", text)


def test_without_a_named_day_a_made_call_has_the_words_that_were_said():
    rng, seen = random.Random(5), 0
    for _ in range(MANY):
        messages, _ = made_dialogue(WORDS, rng)
        if re.search("|".join(WEEKDAYS), messages[0].content) and messages[0].role == "system":
            continue
        for place, message in enumerate(messages):
            said = " ".join(m.content for m in messages[:place])
            for text in (v for call in message.calls for v in call.arguments.values() if DATE.fullmatch(v)):
                assert text in said
                seen += 1
    assert seen


@pytest.mark.parametrize("seed", range(200))
def test_a_day_that_is_said_is_the_day_of_the_call(seed: int):
    rng = random.Random(seed)
    today = any_day(rng)
    said, called = said_day(today, rng)
    day = date.fromisoformat(called)
    ahead = (day - today).days
    assert 0 <= ahead <= 28
    for weekday in WEEKDAYS:
        if weekday in said:
            assert 1 <= ahead <= 7
            assert WEEKDAYS[day.weekday()] == weekday
    fixed = {"today": 0, "tomorrow": 1, "the day after tomorrow": 2, "in one day": 1, "in a week": 7}
    assert ahead == fixed.get(said, ahead)
    if number := re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b(?!-)", said.replace(called, "")):
        assert int(number[1]) in (day.day, ahead)


def test_times_are_said_in_many_ways_and_called_in_one():
    rng = random.Random(6)
    times = dict(said_time(rng) for _ in range(3000))
    assert times["half past seven in the evening"] == "19:30"
    assert times["noon"] == "12:00"
    assert times["quarter to 4 in the afternoon".replace("4", "four")] == "15:45"
    assert times["12:15 pm"] == "12:15"
    assert times["8 am"] == "08:00"


def test_a_dialogue_moves_to_another_day_whole():
    call = Call("book", {"on": "2019-03-12", "name": "March"})
    messages = [
        Message("user", "On March 12th, the 12th of march or next Tuesday? The 1st is a Friday. At 12:30, for 12."),
        Message("assistant", "", (call,)),
        Message("tool", "date: 2019-03-12; price: 12"),
    ]
    user, assistant, result = moved(messages, date(2027, 1, 30))
    assert user.content == (
        "On February 10th, the 10th of february or next Wednesday? the 30th is a Saturday. At 12:30, for 12."
    )
    assert assistant.calls[0].arguments == {"on": "2027-02-10", "name": "March"}
    assert result.content == "date: 2027-02-10; price: 12"


def test_no_named_day_is_of_the_year_of_the_dialogues():
    rng = random.Random(8)
    days = [any_day(rng) for _ in range(2000)]
    assert min(days).year > 2019
    assert all("2019" not in says_today(day, rng) for day in days)
    assert max(days) - min(days) > timedelta(3000)


def test_identifiers_have_letters_signs_and_digits():
    rng = random.Random(9)
    made = [identifier(rng) for _ in range(500)]
    for form in (r"[A-Z]+-\d+", r"[A-Z]+\d+", r"\d+-[A-Z]+", r"[a-z]+[-_]\d+", r"\d+"):
        assert any(re.fullmatch(form, one) for one in made), form


def test_the_tools_of_scenarios_are_none_of_the_made_ones():
    rng = random.Random(10)
    made = {name for errand in ERRANDS for name in (*errand.tools, *errand.undo)}
    made |= {tool.name for _ in range(3000) for tool in made_dialogue(WORDS, rng)[1]}
    assert not made & {tool.name for scenario in scenarios() for tool in scenario.tools}
