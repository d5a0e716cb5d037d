"""Sentences as customers type them, from sentences.toml: many forms of a few hundred patterns.

Contract: the file's sentences and a random generator in, labelled rows out, none of which is in written.tsv, whose
sentences measure. It knows nothing of models.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from models.recipes.classifier.rows import Row, one_label

SENTENCES = Path(__file__).with_name("sentences.toml")
WRITTEN = Path(__file__).with_name("written.tsv")
ROWS = {"negative": 1400, "neutral": 800, "positive": 1200}
"""Of each language."""
LANGUAGES = ("en", "de", "fr", "es")
JOINED_SHARE = 0.35
CAPITAL_SHARE = 0.6
EMOJI_SHARE = 0.05
ENDS = {"negative": (".", "!", "!!", "", "...", ""), "neutral": (".", "", "."), "positive": ("!", ".", "", "!!", "")}
SOURCE = "sentences"

_SLOT = re.compile(r"\{(\w+)\}")


def key(text: str) -> str:
    """The letters and digits of a text, for comparisons of two texts."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def written() -> list[tuple[str, str, str]]:
    """Text, label and language of the test sentences."""
    lines = WRITTEN.read_text(encoding="utf-8").splitlines()
    return [(text, label, language) for text, label, language in (line.split("\t") for line in lines)]


def filled(pattern: str, slots: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    """The pattern with a random filling in each slot."""
    return _SLOT.sub(lambda slot: rng.choice(slots[slot[1]]), pattern)


def typed(text: str, label: str, rng: random.Random) -> str:
    """The text with or without a capital and a full stop."""
    if rng.random() < CAPITAL_SHARE:
        text = text[0].upper() + text[1:]
    return text if text[-1] in "?!." else text + rng.choice(ENDS[label])


def rows(
    rng: random.Random,
    share: float,
    emoji: Mapping[str, str],
    languages: Collection[str] = LANGUAGES,
    file: Path = SENTENCES,
    counts: Mapping[str, int] = ROWS,
) -> Iterator[Row]:
    """Rows of every label, some with emoji of their label."""
    measured = {key(text) for text, _, _ in written()}
    patterns = tomllib.loads(file.read_text(encoding="utf-8"))
    for part in (patterns[language] for language in languages):
        for label, count_of_label in counts.items():
            for _ in range(count_of_label):
                count = 2 if rng.random() < JOINED_SHARE else 1
                texts = [filled(pattern, part["slots"], rng) for pattern in rng.sample(part[label], count)]
                if any(key(text) in measured for text in texts):
                    continue
                text = " ".join(typed(each, label, rng) for each in texts)
                if label in emoji and rng.random() < EMOJI_SHARE:
                    text += " " + rng.choice(emoji[label])
                yield Row(text, one_label(tuple(ROWS), label), SOURCE, share)
