"""Made-up first turns that order food or drink, and answers that ask for what is missing. Original text."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

_ITEMS: Mapping[str, Sequence[str]] = {
    "drink": (
        "cappuccino", "latte", "flat white", "espresso", "mocha", "iced coffee", "hot chocolate", "green tea",
        "lemonade", "orange juice", "smoothie", "cold brew", "milkshake", "cola", "chai", "black coffee", "beer",
    ),
    "meal": (
        "pizza", "cheeseburger", "burrito", "chicken curry", "pad thai", "Caesar salad", "lasagna", "sandwich",
        "tomato soup", "portion of fries", "taco", "bagel", "croissant", "falafel wrap", "bowl of ramen", "cheesecake",
    ),
}  # fmt: skip
_SIZES = ("small ", "medium ", "large ", "", "")
_WITH: Mapping[str, Sequence[str]] = {
    "drink": ("oat milk", "almond milk", "skim milk", "two sugars", "no sugar", "extra ice", "whipped cream"),
    "meal": ("extra cheese", "no onions", "mushrooms", "extra sauce", "no nuts", "olives", "bacon on the side"),
}
_ASKING = (
    "I'd like {order} please", "I would like {order}.", "can I get {order}", "Could I have {order}, please?",
    "I'll have {order}", "i want {order}", "I want to order {order}.", "One order please: {order}", "{order} please",
    "Get me {order}", "Hi, can I order {order}?", "I'd like to order {order} for delivery.", "let me get {order}",
)  # fmt: skip
_ANSWERS = (
    "Sure, {order}. Is that for here or to go?",
    "Gladly: {order}. What name should the order be under?",
    "Of course, {order}. Would you like anything else with that?",
    "All right, {order}. Would you like to pick it up, or should it be delivered?",
)


def ordering(rng: random.Random) -> tuple[str, str]:
    """An order as people type it, and an answer that repeats it and asks one thing."""
    kind = rng.choice(tuple(_ITEMS))
    size, item = rng.choice(_SIZES), rng.choice(_ITEMS[kind])
    number = rng.choice(("", "", "", "two ", "three ", "2 "))
    article = number or ("an " if (size or item)[0].lower() in "aeiou" else "a ")
    order = f"{article}{size}{_plural(item) if number else item}"
    if rng.random() < 0.4:
        order += f" with {rng.choice(_WITH[kind])}"
    asked = rng.choice(_ASKING).format(order=order)
    spelling = rng.choices((str, str.lower, str.upper), (6, 2, 1))[0]
    return spelling(asked), rng.choice(_ANSWERS).format(order=order)


def _plural(item: str) -> str:
    head, *rest = item.split(" of ")
    if head.endswith("y"):
        head = f"{head[:-1]}ie"
    return " of ".join((f"{head}{'es' if head.endswith('ch') else 's'}", *rest))
