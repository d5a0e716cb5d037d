"""Sentences for the categories that no open data annotates: sexual content, violence and self-harm.

Contract: reads written.toml beside it, yields texts that have a category and texts that only look like it. They stand
alone or among harmless sentences, as in longer posts. It knows nothing of models.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.recipes.moderation.harmless import Part

CATEGORIES = ("sexual", "violence", "self-harm")
SENTENCES = Path(__file__).with_name("written.toml")
MOST_FORMS = 24
"""The most sentences of one pattern."""
EMBEDDED_SHARE = 0.4
MORE_SHARE = 0.5
"""Of those among others: with a second sentence of their kind."""
SEED = 47
_CHOICE = re.compile(r"\{([^{}]*)\}")
_SPACE_BEFORE_SIGN = re.compile(r"(?<! ) +(?=[,.?!])")


@dataclass(frozen=True, slots=True)
class Written:
    """A text, its category, and whether it belongs to the category."""

    text: str
    category: str
    has_it: bool

    @property
    def kind(self) -> tuple[str, bool]:
        """The key of sentences that can stand in one text."""
        return self.category, self.has_it


def forms(pattern: str, rng: random.Random, most: int = MOST_FORMS) -> list[str]:
    """Different sentences of a pattern, in which {a|b} stands for either; not every one if there are many."""

    def chosen(choice: re.Match[str]) -> str:
        return rng.choice(choice[1].split("|"))

    made = (_CHOICE.sub(chosen, pattern) for _ in range(most))
    return list(dict.fromkeys(_SPACE_BEFORE_SIGN.sub("", text) for text in made))


def written(part: Part, harmless: Sequence[str] = ()) -> Iterator[Written]:
    """The sentences of a part in a fixed random order; some of them among harmless ones, if there are any."""
    rng = random.Random(f"{SEED} {part}")
    patterns = tomllib.loads(SENTENCES.read_text(encoding="utf-8"))
    made = [
        Written(text, category, answer == "yes")
        for category in CATEGORIES
        for answer in ("yes", "no")
        for pattern in patterns[category][part][answer]
        for text in forms(pattern, rng)
    ]
    rng.shuffle(made)
    for row in made:
        if harmless and rng.random() < EMBEDDED_SHARE:
            texts = [row.text, *rng.sample(harmless, rng.randint(1, 2))]
            if rng.random() < MORE_SHARE:
                texts.append(rng.choice([other.text for other in made if other.kind == row.kind]))
            rng.shuffle(texts)
            yield replace(row, text=" ".join(texts))
        else:
            yield row
