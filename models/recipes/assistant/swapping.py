"""Swaps a dialogue's values for others, so that the model must read the values from the dialogue.

The dialogues name few cities, hotels and singers, and a small model answers with the frequent ones. If a name occurs
before the call that uses it, this module replaces it everywhere with another value of the same argument, or with
made-up words.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from models.families.hearth_assistant import Call, Message

Pools = Mapping[str, Sequence[str]]  # argument -> values seen

_SHORTEST = 4  # characters; shorter ones are mostly answers of a list ("Yes", "CDG")
_MADE_UP_SHARE = 0.4


def pools_of_values(conversations: Iterable[Iterable[Message]], open_arguments: frozenset[str]) -> Pools:
    """The names that calls give to the arguments that take any value."""
    seen: defaultdict[str, dict[str, None]] = defaultdict(dict)  # in order: a set's differs from run to run
    for messages in conversations:
        for key, value in _called_with(messages):
            if key in open_arguments and _is_name(value):
                seen[key][value] = None
    return {key: tuple(values) for key, values in seen.items()}


def with_swapped_values(
    messages: Sequence[Message], pools: Pools, words: Sequence[str], rng: random.Random
) -> list[Message]:
    """The conversation with every name that can be swapped swapped, the same way everywhere."""
    swaps: dict[str, str] = {}
    for position, message in enumerate(messages):
        for key, value in _called_with([message]):
            if key in pools and value.lower() not in swaps and _stands_alone(value, messages, position):
                swaps[value.lower()] = _other_value(pools[key], words, rng)
    if not swaps:
        return list(messages)
    longest_first = sorted(swaps, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)

    def swapped(text: str) -> str:
        return pattern.sub(lambda match: _in_case_of(match[0], swaps[match[0].lower()]), text)

    return [
        Message(
            message.role,
            swapped(message.content),
            tuple(Call(call.name, {k: swapped(str(v)) for k, v in call.arguments.items()}) for call in message.calls),
        )
        for message in messages
    ]


def _called_with(messages: Iterable[Message]) -> Iterable[tuple[str, str]]:
    return ((k, str(v)) for message in messages for call in message.calls for k, v in call.arguments.items())


def _is_name(value: str) -> bool:
    return len(value) >= _SHORTEST and any(character.isalpha() for character in value)


def _stands_alone(value: str, messages: Sequence[Message], call_position: int) -> bool:
    """Tells whether the value occurs in full before the call, and never in part or as initials."""
    if not _is_name(value):
        return False
    whole = re.compile(rf"(?<!\w){re.escape(value)}(?!\w)", re.IGNORECASE)
    if not any(whole.search(message.content) for message in messages[:call_position]):
        return False
    words = re.findall(r"\w+", value)
    parts = {"".join(word[0] for word in words), "City", *(word for word in words if len(word) >= _SHORTEST - 1)}
    part = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, parts))})(?!\w)", re.IGNORECASE)
    said = (message.content for message in messages if message.role != "tool")
    return not any(part.search(whole.sub("", text)) for text in said)


def _other_value(pool: Sequence[str], words: Sequence[str], rng: random.Random) -> str:
    if rng.random() < _MADE_UP_SHARE:
        return " ".join(word.capitalize() for word in rng.choices(words, k=rng.choice((1, 1, 2, 2, 3))))
    return rng.choice(pool)


def _in_case_of(said: str, value: str) -> str:
    return value.lower() if said.islower() else value
