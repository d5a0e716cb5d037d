"""Made-up conversations that practise one thing: copying what the user said into the right argument, or dating a day.

A small model first learns which values are frequent ("San Francisco" for every city), and which argument goes with
them. Here names of tools, arguments and values are drawn at random, many of words that name nothing, so only reading
them off the conversation and the list of tools helps. Original text; the words come from the caller.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from models.families.hearth_assistant import Call, Message, Tool
from models.recipes.assistant.days import any_day, said_day, said_time, says_today
from models.recipes.assistant.values import identifier

_VERBS = ("Find", "Book", "Reserve", "Check", "Cancel", "Order", "Schedule", "Get", "Add", "Change", "Request", "Track")
_NOUNS = (
    "Appointment", "Table", "Room", "Ticket", "Ride", "Doctor", "Delivery", "Account", "Class", "Repair", "Parcel",
    "Invoice", "Visit", "Lesson", "Car", "Seat", "Meeting", "Course", "Flight", "Guide", "Desk", "Boat", "Order",
)  # fmt: skip
_ARGUMENTS = (
    "name", "city", "date", "time", "street", "phone", "color", "size", "brand", "service", "doctor_name", "room_type",
    "start_time", "end_date", "order_number", "customer_name", "email", "reason", "destination", "origin", "team",
    "event_name", "number_of_guests", "number_of_seats", "plan", "product", "branch", "language", "teacher", "title",
    "amount", "account_type", "address", "zip_code", "model", "license_plate", "pet_name", "department", "day",
)  # fmt: skip
_NUMBERS = ("number_of_guests", "number_of_seats", "amount", "zip_code", "phone")
_IDENTIFIERS = ("order_number", "license_plate", "model", "branch")
_SAID = (
    "the {key} is {value}", "{key} {value}", "{value} for the {key}", "make the {key} {value}", "{key}: {value}",
    "as {key} please take {value}", "I'd like {value} as the {key}",
)  # fmt: skip
_OPENINGS = ("I want to {job}.", "Can you {job}?", "Please {job}.", "I need to {job}.", "Hi, could you {job} for me?")
_QUESTIONS = (
    "What {key} would you like?",
    "Which {key}, please?",
    "What is the {key}?",
    "Could you tell me the {key}?",
)
_ANSWERS = ("{value}", "{value} please", "It's {value}.", "{value}, thanks", "I think {value}")
_DONE = ("Done: {facts}.", "All set, {facts}.", "I have noted {facts}.", "That's arranged: {facts}.")


def practice(words: Sequence[str], rng: random.Random) -> tuple[list[Message], list[Tool]]:
    """A short conversation with one call, and the tools listed for it."""
    verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS)
    values = {key: _value(key, words, rng) for key in _keys(rng.randint(1, 4), words, rng)}
    spare = tuple(key for key in _keys(rng.randint(0, 2), words, rng) if key not in values)  # nobody says a value
    tool = Tool(_tool_name(verb, noun, rng), tuple(values), spare)
    others = [
        Tool(_tool_name(rng.choice(_VERBS), rng.choice(_NOUNS), rng), tuple(_keys(2, words, rng)))
        for _ in range(rng.randint(0, 2))
    ]
    tools = [tool, *{other.name: other for other in others if other.name != tool.name}.values()]
    rng.shuffle(tools)
    opening = rng.choice(_OPENINGS).format(job=f"{verb.lower()} {'an' if noun[0] in 'AEIO' else 'a'} {noun.lower()}")
    keys = list(values)
    rng.shuffle(keys)
    told = rng.randint(0, len(keys))
    said = [rng.choice(_SAID).format(key=_spoken(key), value=values[key]) for key in keys[:told]]
    messages = [Message("user", " ".join([opening, ", ".join(said)]).strip())]
    for key in sorted(keys[told:], key=list(values).index):
        messages.append(Message("assistant", rng.choice(_QUESTIONS).format(key=_spoken(key))))
        messages.append(Message("user", rng.choice(_ANSWERS).format(value=values[key])))
    facts = ", ".join(f"{_spoken(key)} {value}" for key, value in values.items())
    return [
        *messages,
        Message("assistant", "", (Call(tool.name, values),)),
        Message("tool", "status: done"),
        Message("assistant", rng.choice(_DONE).format(facts=facts)),
    ], tools


def day_drill(words: Sequence[str], rng: random.Random) -> tuple[list[Message], list[Tool]]:
    """One request that has a day or a time in it, or both, and one call: practice in computing these."""
    today = any_day(rng)
    verb, key = rng.choice(("book", "reserve", "plan", "request")), rng.choice(("date", "day", "on", "visit_date"))
    noun = rng.choice(words).lower()
    said, called = said_day(today, rng)
    sentence = rng.choice(
        ("{} a {} {} {}", "I want to {} a {} {} {}", "Can you {} a {} {} {}?", "please {} the {} {} {}")
    )
    on = "for" if rng.random() < 0.4 or said.startswith(("to", "in", "the day")) else "on"
    user = sentence.format(verb, noun, on, said)
    values = {key: called}
    if rng.random() < 0.5:
        clock, values["time"] = said_time(rng)
        user += f" at {clock}"
        if rng.random() < 0.3:
            user, values = f"{verb} a {noun} at {clock}", {"time": values["time"]}
    tool = Tool(f"{verb}_{noun}", tuple(values))
    done = rng.choice(("Done, {}: {}.", "All right: {}, {}.", "Your {}: {}.")).format(noun, " ".join(values.values()))
    return [
        Message("system", says_today(today, rng)),
        Message("user", user),
        Message("assistant", "", (Call(tool.name, values),)),
        Message("tool", "status: ok"),
        Message("assistant", done),
    ], [tool]


def _keys(count: int, words: Sequence[str], rng: random.Random) -> list[str]:
    """Different names of arguments: half of them usual, half with a word, or only of words, that no service has."""

    def key(usual: str) -> str:
        kind = rng.random()
        if kind < 0.5:
            return usual
        word = rng.choice(words).lower()
        if kind < 0.7:
            return f"{word}_{usual}"
        return word if kind < 0.85 else f"{word}_{rng.choice(words).lower()}"

    return list(dict.fromkeys(map(key, rng.sample(_ARGUMENTS, count))))


def _tool_name(verb: str, noun: str, rng: random.Random) -> str:
    return f"{verb}{noun}" if rng.random() < 0.7 else f"{verb}_{noun}".lower()


def _spoken(key: str) -> str:
    return key.replace("_", " ")


def _value(key: str, words: Sequence[str], rng: random.Random) -> str:
    if key.endswith(_IDENTIFIERS) or rng.random() < 0.1:
        return identifier(rng)
    if key.endswith(_NUMBERS) or rng.random() < 0.1:
        return str(rng.randint(1, 10 ** rng.randint(1, 5)))
    if key.endswith("time"):
        return f"{rng.randint(1, 12)}:{rng.choice(('00', '15', '30', '45'))} {rng.choice(('am', 'pm'))}"
    chosen = rng.choices(words, k=rng.choice((1, 1, 2, 2, 3)))
    return " ".join(word.capitalize() if rng.random() < 0.7 else word for word in chosen)
