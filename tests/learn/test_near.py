"""Which texts count as near copies, and that none is judged by a head that has seen another."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from models.learn.folds import MOST, divide
from models.learn.near import NEAR, near_copies

WORDS = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


def slowly(texts: list[str]) -> list[int]:
    """The same rule with every text compared to every first one."""
    sets = [frozenset(text.split()) for text in texts]
    frequency = Counter(word for words in sets for word in words)
    weight = {word: 1.0 + math.log(len(sets) / count) for word, count in frequency.items()}
    firsts: list[int] = []
    found = []
    for place, words in enumerate(sets):
        same = [other for other in range(place) if sets[other] == words]
        shares = [
            (sum(map(weight.__getitem__, words & sets[i])) / sum(map(weight.__getitem__, words | sets[i])), -i)
            for i in firsts
        ]
        share, nearest = max(shares, default=(0.0, 0))
        if same:
            found.append(found[same[0]])
        elif share >= NEAR:
            found.append(-nearest)
        else:
            firsts.append(place)
            found.append(place)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_looking_only_at_the_rarest_words_finds_every_near_copy(seed: int) -> None:
    rng = random.Random(seed)
    common = rng.choices(WORDS, k=9)
    texts = [
        " ".join(rng.sample(WORDS, rng.randint(1, 6)) + rng.choices(common, k=rng.randint(0, 4))) for _ in range(120)
    ]
    assert near_copies(texts) == pytest.approx(slowly(texts))
    assert 20 < len(set(near_copies(texts))) < 120


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("My parcel 4711 has not arrived.", "my parcel 23 has not arrived", True),
        ("The delivery was late.", "Hello, the delivery was late, thanks.", True),
        ("Where is the station?", "Where is the station in Rome?", True),
        ("The delivery was late.", "The soup was cold.", False),
        ("order status", "cancel my order", False),
        ("?!", "...", False),
        ("...", "...", True),
    ],
)
def test_names_numbers_and_greetings_make_near_copies(one: str, other: str, near: bool) -> None:
    others = ["I was charged twice.", "The app does not start", "Thanks for the quick answer", "Is it in the box?"]
    first, second, *_ = near_copies([one, other, *others])
    assert (first == second) == near


@pytest.mark.parametrize("seed", range(30))
def test_a_group_is_in_one_fold_and_a_label_in_several(seed: int) -> None:
    rng = random.Random(seed)
    groups = [rng.randrange(25) for _ in range(80)]
    labels = [group % 3 if rng.random() < 0.9 else rng.randrange(3) for group in groups]
    folds = divide(labels, groups)
    of_row = folds.of_row.tolist()
    assert folds.alike == ()
    assert folds.groups == len(set(groups))
    assert len(set(zip(groups, of_row, strict=True))) == folds.groups
    assert set(of_row) == set(range(MOST))
    for label in set(labels):
        assert len({fold for fold, own in zip(of_row, labels, strict=True) if own == label}) > 1


def test_a_label_of_near_copies_only_is_divided_all_the_same_and_said() -> None:
    folds = divide([0, 0, 0, 1, 1, 1], [7, 7, 7, 1, 2, 3])
    assert folds.alike == (0,)
    assert folds.groups == 6
    for label in (0, 1):
        assert len(np.unique(folds.of_row[3 * label : 3 * label + 3])) == 3
