"""Made-up values for the arguments of dialogues, each in spoken form and in a call's form.

In calls names and identifiers keep their spoken form, numbers and times have digits, and days are dates if the system
message states the current day. Original text; the words come from the caller.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from models.recipes.assistant.days import MONTHS, NUMBERS, said_day, said_time

# Spoken forms of some kinds of facts; the others have the form "the KEY is VALUE".
SAID: Mapping[str, Sequence[str]] = {
    "people": ("for {}", "{}", "{} please", "make it {}", "we need {}"),
    "nights": ("for {}", "{}", "it is {}", "{} in all"),
    "day": ("on {}", "for {}", "{}", "{} would be good", "it should be {}"),
    "time": ("at {}", "{}", "around {}", "{} would be good"),
    "person": ("the name is {}", "my name is {}", "under {}", "{}", "it's for {}", "I am {}", "name: {}"),
    "first": ("with {}", "I'd like {} to do it", "with {} please"),
    "place": ("in {}", "{}", "it's {}"),
    "from": ("from {}", "pick me up at {}", "I'm at {}"),
    "to": ("to {}", "I'm going to {}", "take me to {}"),
    "phone": ("my number is {}", "you can reach me at {}", "{}", "the phone number is {}"),
    "identifier": ("{}", "it's {}", "it is {}", "the number is {}", "{} is the number", "the code is {}", "number {}"),
    "plate": ("the plate is {}", "{}", "it has the plate {}"),
    "amount": ("{}", "it's {}", "the amount is {}", "send {}"),
    "title": ("{}", "it's called {}", "for {}", "it's {}"),
    "trouble": ("{}", "the problem is: {}", "it's this: {}"),
    "reason": ("{}", "because: {}", "the reason: {}"),
    "street": ("{}", "to {}", "the address is {}"),
}
_ONSETS = (
    "b",
    "d",
    "f",
    "g",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "z",
    "br",
    "ch",
    "dr",
    "sh",
    "th",
    "tr",
    "y",
    "j",
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo", "ie", "a", "e", "o")
_CODAS = ("", "", "", "n", "r", "s", "l", "m", "nd", "th", "ck", "sen", "ski", "ez", "ova", "berg", "ton", "man", "ini")
_STREETS = ("Street", "Road", "Lane", "Avenue", "Square", "Way", "Court", "Alley", "Drive")
_DISHES = (
    "margherita pizza", "vegetable curry", "beef burrito", "tomato soup", "chicken wrap", "lasagna", "mushroom risotto",
    "pad thai", "falafel plate", "caesar salad", "fish and chips", "cheeseburger", "ramen", "lentil stew",
)  # fmt: skip
_SERVICES = (
    "haircut", "beard trim", "massage", "manicure", "check-up", "cleaning", "eye test", "consultation", "tyre change",
    "inspection", "facial", "colouring", "vaccination", "tax advice", "piano lesson", "fitting", "oil change",
)  # fmt: skip
_LEVELS = ("standard", "economy", "premium", "first class", "balcony", "compact", "van", "luxury", "front row")
_REASONS = (
    "it is too small", "it is broken", "wrong color", "it came too late", "I changed my mind", "it does not fit",
    "it has a scratch", "ordered twice", "the wrong one came", "it stopped working", "found it cheaper", "not needed",
)  # fmt: skip
_TROUBLES = (
    "it makes a strange noise", "it does not start", "the screen stays black", "it leaks", "the battery is dead",
    "flat tyre", "no connection", "it gets too hot", "the door does not close", "error {}", "code {} on the display",
    "the handle came off", "it smells burnt", "the brakes squeak", "broken mirror",
)  # fmt: skip
_ITEMS = (
    "kettle", "jacket", "keyboard", "router", "vacuum cleaner", "headphones", "desk", "washing machine", "phone case",
    "bicycle", "monitor", "pair of shoes", "toaster", "coffee machine", "backpack", "tent", "tablet", "camera", "scale",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """A value in spoken form, and in a call's form."""

    said: str
    called: str


def value(kind: str, today: date | None, anchor: date, words: Sequence[str], rng: random.Random) -> Value:
    """A value of a kind; `today` is the day that the system message names, `anchor` what days are drawn near to."""
    if kind == "day":
        said, day = said_day(today or anchor, rng)
        return Value(said, day if today else said)
    if kind == "time":
        return Value(*said_time(rng))
    if kind in ("people", "nights"):
        number = rng.randint(1 if kind == "nights" else 2, 12) if rng.random() < 0.85 else rng.randint(13, 80)
        said = NUMBERS[number] if number <= 12 and rng.random() < 0.5 else str(number)
        if kind == "nights":
            said += rng.choice((" nights", " days")) if number > 1 else " night"
        elif rng.random() < 0.3:
            return Value(said + " people", str(number))
        return Value(said, str(number))
    if kind == "amount":
        number = rng.choice((rng.randint(5, 99), rng.randint(100, 2500), rng.randint(1, 40) * 50))
        return Value(
            rng.choice((f"{number}", f"{number}", f"${number}", f"{number} dollars", f"{number} euros")), str(number)
        )
    said = _named(kind, words, rng)
    return Value(said, said)


def _named(kind: str, words: Sequence[str], rng: random.Random) -> str:
    """A value that a call repeats in its spoken form."""
    if kind in ("identifier", "plate"):
        return identifier(rng)
    if kind == "digits":
        return str(rng.randint(1000, 99999))
    if kind == "phone":
        parts = [
            str(rng.randint(0, 10**n - 1)).zfill(n)
            for n in rng.choice(((3, 3, 4), (4, 3, 3), (3, 4), (4, 4, 3), (5, 6)))
        ]
        return rng.choice((" ", "-", "-")).join(parts)
    if kind == "person":
        return f"{name(rng)} {name(rng)}" if rng.random() < 0.6 else name(rng)
    if kind == "first":
        return name(rng)
    if kind == "street":
        street = f"{_capital(words, rng)} {rng.choice(_STREETS)}"
        return rng.choice((f"{street} {rng.randint(1, 240)}", f"{rng.randint(1, 240)} {street}"))
    if kind in ("from", "to"):
        return rng.choice(
            (
                _named("street", words, rng),
                f"the {rng.choice(words).lower()}",
                f"{name(rng)} Hotel",
                f"{_capital(words, rng)} station",
            )
        )
    if kind == "place":
        return name(rng) if rng.random() < 0.7 else f"{_capital(words, rng)} {name(rng)}"
    if kind == "title":
        return " ".join(_capital(words, rng) for _ in range(rng.choice((1, 2, 2, 3))))
    if kind == "month":
        return rng.choice(MONTHS)
    texts = {
        "dish": _DISHES,
        "service": _SERVICES,
        "level": _LEVELS,
        "reason": _REASONS,
        "trouble": _TROUBLES,
        "item": _ITEMS,
    }
    return rng.choice(texts[kind]).format(identifier(rng))


def identifier(rng: random.Random) -> str:
    """A code of letters, digits and signs: B-1043, 20931, RX77120, ab_4417, K7-QM2."""
    letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=rng.choice((1, 1, 2, 2, 3))))
    digits = "".join(rng.choices("0123456789", k=rng.randint(2, 6)))
    form = rng.random()
    if form < 0.4:
        return f"{letters}-{digits}"
    if form < 0.55:
        return f"{letters}{digits}"
    if form < 0.65:
        return f"{letters}{rng.randint(1, 9)}-{digits}"
    if form < 0.75:
        return f"{digits}-{letters}"
    if form < 0.8:
        return f"{letters} {digits}"
    if form < 0.87:
        return f"{letters.lower()}{rng.choice('-_')}{digits}"
    if form < 0.92:
        return f"{digits}-{rng.randint(10, 999)}"
    return digits


def name(rng: random.Random) -> str:
    """A made-up name of one to three syllables."""
    count = rng.choice((1, 2, 2, 2, 3))
    made = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count)) + rng.choice(_CODAS)
    made = made.capitalize()
    return f"{made}-{name(rng)}" if rng.random() < 0.04 else made


def _capital(words: Sequence[str], rng: random.Random) -> str:
    return rng.choice(words).capitalize()
