"""From tags of tokens to entities: schemes of tags, words, places in any Unicode text."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from models.tokenizer_json import HuggingFaceTokenizer
from models.tokenizers import Span
from server.tasks.tags import Aggregation, Entity, entities, labels_of, redacted
from tests.convert.encoder_repositories import byte_level, unigram, word_piece

TEXT = "Anna Maria Rossi met Bo in New York"
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def spans_of(text: str) -> list[Span]:
    """A token for each word."""
    found, at = [], 0
    for number, word in enumerate(text.split(" ")):
        found.append(Span(number, at, at + len(word), number))
        at += len(word) + 1
    return found


def tagged(tags: list[str], names: tuple[str, ...], score: float = 0.9) -> np.ndarray:
    rest = (1 - score) / (len(names) - 1)
    rows = [[score if name == tag else rest for name in names] for tag in tags]
    return np.array(rows, np.float32)


def found(tags: list[str], names: tuple[str, ...], aggregation: Any = "simple", text: str = TEXT) -> list[str]:
    made = entities(text, spans_of(text), tagged(tags, names), names, aggregation)
    return [f"{each.label} {text[each.begin : each.end]}" for each in made]


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (["B-PER", "I-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC"], BIO),
        (["I-PER", "I-PER", "I-PER", "O", "I-PER", "O", "I-LOC", "I-LOC"], BIO),
        (["B-PER", "I-PER", "E-PER", "O", "S-PER", "O", "B-LOC", "E-LOC"],
         ("O", "S-PER", "B-PER", "I-PER", "E-PER", "B-LOC", "E-LOC")),
        (["B-PER", "I-PER", "L-PER", "O", "U-PER", "O", "B-LOC", "L-LOC"],
         ("O", "U-PER", "B-PER", "I-PER", "L-PER", "B-LOC", "L-LOC")),
        (["PER", "PER", "PER", "O", "PER", "O", "LOC", "LOC"], ("O", "PER", "LOC")),
    ],
    ids=["BIO", "IO with prefixes", "BIOES", "BILOU", "no prefixes"],
)  # fmt: skip
@pytest.mark.parametrize("aggregation", ["simple", "first", "average", "max"])
def test_the_usual_schemes_of_tags_are_read(tags: list[str], names: tuple[str, ...], aggregation: str) -> None:
    assert found(tags, names, aggregation) == ["PER Anna Maria Rossi", "PER Bo", "LOC New York"]
    assert labels_of(names) == ("PER", "LOC")


def test_neighbours_are_apart_where_the_tags_say_so() -> None:
    assert found(["B-PER", "B-PER", "I-PER", *"OOOOO"], BIO) == ["PER Anna", "PER Maria Rossi"]
    names = ("O", "S-PER", "B-PER", "E-PER", "I-PER")
    assert found(["B-PER", "E-PER", "I-PER", *"OOOOO"], names) == ["PER Anna Maria", "PER Rossi"]
    assert found(["S-PER", "I-PER", *"OOOOOO"], names) == ["PER Anna", "PER Maria"]
    assert found(["B-PER", "O", "I-PER", *"OOOOO"], BIO) == ["PER Anna", "PER Rossi"]
    assert found(["B-PER", "I-LOC", *"OOOOOO"], BIO) == ["PER Anna", "LOC Maria"]


def test_without_aggregation_each_token_is_there_with_its_tag() -> None:
    made = entities(TEXT, spans_of(TEXT), tagged(["B-PER", "I-PER", *"OOOO", "B-LOC", "O"], BIO), BIO, "none")
    assert [(each.tag, each.token, TEXT[each.begin : each.end]) for each in made] == [
        ("B-PER", 0, "Anna"), ("I-PER", 1, "Maria"), ("B-LOC", 6, "New"),
    ]  # fmt: skip


def test_a_score_is_the_mean_over_the_words() -> None:
    numbers = tagged(["B-PER", "I-PER", *"OOOOOO"], BIO)
    numbers[1] = tagged(["I-PER"], BIO, 0.7)
    [one] = entities(TEXT, spans_of(TEXT), numbers, BIO, "simple")
    assert one.score == pytest.approx(0.8)


PARTS = [Span(0, 0, 2, 0), Span(1, 2, 5, 0), Span(2, 5, 8, 0), Span(3, 8, 9, 0)]
"""Of "Johansen.", as a tokenizer that cuts at spaces alone has it."""


@pytest.mark.parametrize(
    ("aggregation", "wanted"),
    [("simple", ["LOC hansen"]), ("first", []), ("max", ["LOC Johansen"]), ("average", ["LOC Johansen"])],
)
def test_a_word_has_one_tag_and_ends_before_punctuation(aggregation: Any, wanted: list[str]) -> None:
    numbers = np.array([[0.6, 0.4], [0.05, 0.95], [0.3, 0.7], [0.8, 0.2]], np.float32)
    assert found_in("Johansen.", PARTS, numbers, aggregation) == wanted


def found_in(text: str, spans: list[Span], numbers: np.ndarray, aggregation: Any) -> list[str]:
    made = entities(text, spans, numbers, ("O", "LOC"), aggregation)
    return [f"{each.label} {text[each.begin : each.end]}" for each in made]


def test_scripts_without_spaces_are_no_single_word() -> None:
    spans = [Span(0, 0, 2, 0), Span(1, 2, 4, 0), Span(2, 4, 6, 0)]
    numbers = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]], np.float32)
    assert found_in("我在北京工作", spans, numbers, "first") == ["LOC 北京"]


def test_white_space_and_shared_characters_are_cut_off() -> None:
    spans = [Span(0, 0, 1, 0), Span(1, 1, 6, 1), Span(2, 6, 7, 2), Span(3, 6, 7, 2)]
    numbers = np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]], np.float32)
    assert found_in("a Bern 🙂", spans[:2], numbers[:2], "simple") == ["LOC Bern"]
    made = entities("a Bern🙂", spans, numbers, ("O", "LOC"), "none")
    assert [(each.begin, each.end) for each in made] == [(2, 6), (6, 7)], "two tokens of one character"


def test_a_text_is_redacted() -> None:
    some_entities = [Entity("PER", 0, 4, 1.0), Entity("LOC", 8, 12, 1.0)]
    assert redacted("Anna in Bern!", some_entities, "[{label}]") == "[PER] in [LOC]!"
    assert redacted("Anna in Bern!", some_entities, "█") == "█ in █!"
    assert redacted("nobody", [], "x") == "nobody"


@cache
def tokenizer(kind: str) -> HuggingFaceTokenizer:
    import tempfile

    made = {"byte level": byte_level, "unigram": unigram, "word piece": word_piece}[kind]()
    with tempfile.TemporaryDirectory() as folder:
        made.save(f"{folder}/tokenizer.json")
        return HuggingFaceTokenizer(Path(folder) / "tokenizer.json")


HARD = [
    "e\u0301",
    "🙂🏽",
    "👩‍👩‍👧",
    "ẞ",
    "ﬁ",
    "漢字",
    "ا",
    "\u200b",
    "\n",
    " ",
    "Anna",
    "İ",
    "\U0001f1e8\U0001f1ed",
    "�",
    "[SEP]",
    "1,5",
]


@pytest.mark.parametrize("kind", ["byte level", "unigram", "word piece"])
@settings(max_examples=60, deadline=None)
@given(
    text=some.lists(some.one_of(some.sampled_from(HARD), some.text(max_size=4)), max_size=12).map("".join),
    seed=some.integers(0, 10**6),
    aggregation=some.sampled_from(get_args(Aggregation)),
)
def test_places_are_exact_in_any_unicode_text(kind: str, text: str, seed: int, aggregation: Aggregation) -> None:
    spans = tokenizer(kind).encode_spans(text)
    assert [each.id for each in spans] == tokenizer(kind).encode(text)
    numbers = np.random.default_rng(seed).dirichlet([0.3] * len(BIO), len(spans)).astype(np.float32)
    made = entities(text, spans, numbers, BIO, aggregation)
    assert all(a.end <= b.begin for a, b in pairwise(made)), "they overlap"
    for each in made:
        part = text[each.begin : each.end]
        assert part
        assert part == part.strip()
    if aggregation in ("first", "average", "max"):
        for each in made:
            assert not (text[each.begin - 1 : each.begin].isascii() and text[each.begin - 1 : each.begin + 1].isalnum()
                        and each.begin and text[each.begin].isascii()), "it begins within a word"  # fmt: skip
    hidden = redacted(text, made, "█")
    pieces = [text[a:b] for a, b in pairwise([0, *(p for each in made for p in (each.begin, each.end)), len(text)])]
    assert hidden == "█".join(pieces[::2])
