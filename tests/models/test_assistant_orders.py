"""Made-up orders: what the assistant is trained to say repeats what was ordered."""

import random

from models.recipes.assistant.orders import ordering


def test_the_answer_repeats_the_order_and_asks_one_thing() -> None:
    for seed in range(300):
        asked, answer = ordering(random.Random(seed))
        order = answer.partition(".")[0].partition(": ")[2] or answer.partition(".")[0].partition(", ")[2]
        assert order
        assert order.lower() in asked.lower()
        assert answer.count("?") == 1


def test_many_are_written_as_many() -> None:
    asked = {ordering(random.Random(seed))[0].lower() for seed in range(5000)}
    said = " ".join(asked)
    assert "sandwiches" in said
    assert "curries" in said
    assert "bowls of ramen" in said
    assert not any(f"two {wrong}" in said for wrong in ("sandwichs", "chicken currys", "bowl of ramens"))
