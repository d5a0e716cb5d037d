"""Which sentences an extractive summary has."""

from collections.abc import Sequence

import numpy as np

from server.tasks.encoding import Floats, unit
from server.tasks.summaries.extractive import choose
from server.tasks.summaries.form import Length, count_words
from server.tasks.text.note import Sentence

LONG = "one two three four five six seven eight nine ten"


def sentences(*texts: str, sections: Sequence[int] = ()) -> list[Sentence]:
    return [
        Sentence(text, i * 100, i * 100 + len(text), sections[i] if sections else 0) for i, text in enumerate(texts)
    ]


def vectors(*rows: Sequence[float]) -> Floats:
    return np.stack([unit(np.array(row, np.float32)) for row in rows])


def test_the_sentence_nearest_to_the_middle_is_chosen() -> None:
    near = vectors([1, 0.1], [1, 1], [0.1, 1])
    assert choose(sentences(LONG, LONG, LONG), near, Length(1))[0] == [1]


def test_a_sentence_that_says_the_same_again_gives_way_to_another() -> None:
    told = vectors([1, 0.01, 0], [1, 0, 0], [0.6, 0, 0.8])
    given = sentences(LONG, LONG, LONG)
    assert choose(given, told, Length(2), diversity=0)[0] == [0, 1]
    assert 2 in choose(given, told, Length(2), diversity=1)[0]


def test_sentences_stay_in_their_order_and_within_the_length() -> None:
    rows = np.random.default_rng(3).standard_normal((40, 8)).astype(np.float32)
    near = np.stack([unit(row) for row in rows])
    given = sentences(*(" ".join(["word"] * (1 + i % 9)) for i in range(40)))
    for length in (Length(5), Length(100, 23), Length(3, 100), Length(100, 1)):
        chosen, relevance = choose(given, near, length)
        assert chosen == sorted(set(chosen))
        assert 0 < len(chosen) <= length.sentences
        assert sum(count_words(given[i].text) for i in chosen) <= (length.words or 10_000)
        assert relevance.shape == (40,)


def test_a_sentence_with_more_words_than_there_is_room_for_is_left_out() -> None:
    given = sentences(LONG, "a b", LONG)
    assert choose(given, vectors([1, 0], [0, 1], [1, 0]), Length(3, 4))[0] == [1]
    assert choose(given[:1], vectors([1, 0]), Length(3, 4))[0] == []


def test_every_section_gets_a_sentence_before_one_gets_a_second() -> None:
    given = sentences(LONG, LONG, LONG, "a b", sections=[0, 0, 0, 1])
    near = vectors([1, 0.1], [1, 0.2], [1, 0.3], [0, 1])
    assert 3 not in choose([*given[:3], sentences("a b")[0]], near, Length(2), diversity=0)[0]
    assert 3 in choose(given, near, Length(2), diversity=0)[0]


def test_short_sentences_say_less() -> None:
    given = sentences("Mm-hmm.", LONG)
    assert choose(given, vectors([1, 0.2], [1, 0.2]), Length(1))[0] == [1]


def test_words_of_scripts_without_spaces_are_counted_by_characters() -> None:
    assert count_words("two words") == 2
    assert count_words("两个 words") == 3
