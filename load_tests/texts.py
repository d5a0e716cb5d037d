"""Texts to send: sentences of very different lengths and short conversations, made from a few own words.

The same seed gives the same texts, so that runs compare. Knows nothing of requests and models.
"""

import random
from collections.abc import Sequence

Chat = list[dict[str, str]]

_WHO = ("the kitchen", "our room", "the driver", "this lamp", "the guide", "my order", "the station", "the app")
_VERB = ("was", "looked", "seemed", "felt", "remained")
_HOW = ("wonderful", "slow", "clean", "broken", "cheap", "quiet", "far too loud", "better than last year", "ordinary")
_WHEN = ("on Monday", "in the evening", "after the storm", "before breakfast", "during the whole week", "at noon")
_WHERE = ("near the river", "in the old town", "at the airport", "behind the museum", "on the second floor")
_WHY = (
    "because nobody had told us about the change",
    "although we had asked for it twice",
    "since the heating did not work",
    "and the people there were very kind",
    "but the price was the same as everywhere else",
    "so we will come back next summer with our friends",
    "while the children were playing in the garden",
)
_OPENING = ("I think", "To be honest,", "We noticed that", "Everybody says", "My sister wrote that", "It is true:")

_SERVICES = ("a table", "an appointment with the dentist", "two train tickets", "a hotel room", "a taxi", "a haircut")
_DETAILS = ("for four people", "as early as you can", "close to the centre", "not more than fifty dollars", "with Anna")
_TURNS = (
    ("Can you help me?", "Of course. What do you need?"),
    ("I would like to change my plans.", "No problem. Which day is better for you?"),
    ("Is there anything free at seven?", "Yes, seven is free. Shall I book it?"),
    ("How much is it?", "It is forty dollars in total."),
)


def sentences(count: int = 200, seed: int = 1) -> list[str]:
    """English sentences of about 5 to 60 tokens, short ones more often than long ones."""
    draw = random.Random(seed)
    return [_sentence(draw) for _ in range(count)]


def chats(count: int = 64, seed: int = 1) -> list[Chat]:
    """Conversations of one to seven turns that end with the user's."""
    draw = random.Random(seed)
    return [_chat(draw) for _ in range(count)]


def _sentence(draw: random.Random) -> str:
    clauses = [_clause(draw) for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4)))]
    text = ", and ".join(clauses)
    if draw.random() < 0.4:
        text = f"{draw.choice(_OPENING)} {text}"
    return f"{text[0].upper()}{text[1:]}."


def _clause(draw: random.Random) -> str:
    parts = [draw.choice(_WHO), draw.choice(_VERB), draw.choice(_HOW)]
    parts += [draw.choice(more) for more in (_WHEN, _WHERE, _WHY) if draw.random() < 0.35]
    return " ".join(parts)


def _chat(draw: random.Random) -> Chat:
    chat: Chat = []
    for asked, answered in _some(draw, _TURNS, draw.randrange(4)):
        chat += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    wish = f"I need {draw.choice(_SERVICES)} {draw.choice(_WHEN)}"
    wish = " ".join([wish, *_some(draw, _DETAILS, draw.randrange(3))])
    return [*chat, {"role": "user", "content": f"{wish}, please."}]


def _some(draw: random.Random, items: Sequence[object], count: int) -> list[object]:
    return draw.sample(list(items), count)
