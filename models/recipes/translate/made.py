"""Makes training rows that resemble users' input and that the sources lack, from the existing pairs.

Joined sentences, careless typing, capitals, other people's names, other numbers, lines that must
come through unchanged. Dates are in `dates`. Every function draws from the generator it is given.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.recipes.translate.section import LANGUAGES

Pair = tuple[str, str]  # English, foreign
NAME_IN_PAIRS = "Tom"  # by far the most frequent name of Tatoeba, the same in all its languages
_CAPITALISED = re.compile(r"(?<=[a-z,] )[A-Z][a-zà-ÿ]{2,}\b")
_NUMBER = re.compile(r"(?<![\d.,:])\d{1,6}(?![\d.,:]\d|\d)")
_CONSONANTS = (*"bdfghjklmnprstvyz", "ch", "sh", "th", "kr", "tr", "st")
_SYLLABLES = tuple(consonant + vowel for consonant in _CONSONANTS for vowel in "aeiou")
_ENDINGS = ("", "", "n", "r", "s", "l", "m", "k", "nd", "th", "tz", "nko", "nova", "ski", "sson", "ez")


@dataclass(frozen=True, slots=True)
class Row:
    """One training row."""

    weight: float
    target_language: str
    source: str
    target: str


def both_directions(english: str, foreign: str, language: str, weight: float) -> tuple[Row, Row]:
    """A sentence pair as two rows."""
    return Row(weight, language, english, foreign), Row(weight, "en", foreign, english)


def joined(pairs: Sequence[Pair], language: str, count: int, rng: random.Random) -> Iterator[Row]:
    """Two to four sentences in one row, `count` times."""
    for _ in range(count):
        group = [rng.choice(pairs) for _ in range(rng.choice((2, 2, 2, 3, 3, 4)))]
        yield from both_directions(
            " ".join(english for english, _ in group),
            " ".join(foreign for _, foreign in group),
            language,
            1.0,
        )


def typed_carelessly(text: str, rng: random.Random) -> str:
    """One kind of typing noise: lower case, no final mark, or one slip of the finger."""
    kind = rng.randrange(4)
    if kind == 0:
        return text.lower().rstrip(".!?")
    if kind == 1:
        return text.rstrip(".!?")
    if kind == 2:
        return text.lower()
    at = rng.randrange(max(1, len(text) - 1))
    slip = rng.randrange(3)
    if slip == 0:
        return text[:at] + text[at + 1 :]
    if slip == 1:
        return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
    return text[:at] + text[at : at + 1] + text[at:]


def noisy(rows: Sequence[Row], rng: random.Random) -> Iterator[Row]:
    """Some rows again: typed carelessly, in capitals (answered in capitals), or in the target language already."""
    for row in rng.sample(rows, len(rows) // 22):
        source = typed_carelessly(row.source, rng)
        if source.strip():
            yield Row(1.0, row.target_language, source, row.target)
    for row in rng.sample(rows, len(rows) // 60):
        yield Row(1.0, row.target_language, row.source.upper(), row.target.upper())
    for row in rng.sample(rows, len(rows) // 150):
        yield Row(1.0, row.target_language, row.target, row.target)


def names_in(pairs: Sequence[Pair]) -> set[str]:
    """Words with a capital inside the English sentence that the foreign one has too: names of people and places."""
    found: set[str] = set()
    for english, foreign in pairs:
        found.update(word for word in _CAPITALISED.findall(english) if word in foreign)
    return found


def made_up_name(rng: random.Random) -> str:
    """A made-up name, which the model can only copy."""
    return ("".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3)))) + rng.choice(_ENDINGS)).title()


def renamed(pairs: Sequence[Pair], names: Sequence[str], language: str, rng: random.Random) -> Iterator[Row]:
    """Pairs about Tom with one or two other names in his place, known or made up."""
    whole = re.compile(rf"\b{NAME_IN_PAIRS}\b")
    for english, foreign in pairs:
        if not (whole.search(english) and whole.search(foreign)):
            continue
        words = [rng.choice(names) if rng.random() < 0.4 else made_up_name(rng) for _ in range(rng.choice((1, 1, 2)))]
        name = " ".join(words)
        yield from both_directions(whole.sub(name, english), whole.sub(name, foreign), language, 1.0)


def renumbered(pairs: Sequence[Pair], language: str, rng: random.Random) -> Iterator[Row]:
    """Pairs whose numbers both sides write alike, with other numbers of as many digits."""
    for english, foreign in pairs:
        numbers = _NUMBER.findall(english)
        if not numbers or sorted(numbers) != sorted(_NUMBER.findall(foreign)):
            continue
        others = {number: _other_number(number, rng) for number in numbers}
        sides = (_with_numbers(side, others) for side in (english, foreign))
        yield from both_directions(*sides, language, 1.0)


def _with_numbers(text: str, others: Mapping[str, str]) -> str:
    return _NUMBER.sub(lambda found: others[found[0]], text)


def _other_number(number: str, rng: random.Random) -> str:
    first = rng.randrange(2, 10) if len(number) == 1 else rng.randrange(1, 10)
    return "".join([str(first), *(str(rng.randrange(10)) for _ in number[1:])])


def copied(names: Sequence[str], count: int, rng: random.Random) -> Iterator[Row]:
    """Lines that must come through unchanged: names, numbers, addresses, code."""
    letters = "abcdefghijklmnopqrstuvwxyz"

    def word() -> str:
        return "".join(rng.choice(letters) for _ in range(rng.randint(3, 9)))

    makers = (
        lambda: f"{rng.choice(names)} {rng.choice(names)}",
        lambda: f"{made_up_name(rng)} {made_up_name(rng)}",
        lambda: str(rng.randrange(10 ** rng.randint(1, 9))),
        lambda: f"{rng.randrange(1, 29)}.{rng.randrange(1, 13)}.{rng.randrange(1950, 2040)}",
        lambda: f"https://{word()}.{rng.choice(('com', 'org', 'de', 'fr', 'es'))}/{word()}",
        lambda: f"{word()}@{word()}.{rng.choice(('com', 'org', 'net'))}",
        lambda: f"{word()}_{word()}({word()}={rng.randrange(100)})",
        lambda: f'{word()}("{word()} {word()}")',
        lambda: f"{word().upper()}-{rng.randrange(10000)}",
        lambda: rng.choice((".", "..", "...", "?", "!", "-", ":)", "?!")),
    )
    for _ in range(count):
        line = rng.choice(makers)()
        yield Row(1.0, rng.choice(LANGUAGES), line, line)
