"""The server tries a wrong translation once more, and flags it if it stays wrong. The engine is scripted."""

from collections.abc import Sequence
from typing import Any

import pytest

from models.registry import find_models, load_family
from models.tokenizers import load_tokenizer
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines import kinds
from server.engines.base import Outbox
from server.engines.kinds import KINDS
from server.engines.rows import Hypothesis, Translated, TranslationRow
from server.errors import Overloaded
from server.tasks.model import Model
from server.tasks.translation.task import TranslationTask
from tests.tasks.conftest import WEIGHTS, Unobserved

pytestmark = pytest.mark.anyio

LOOP = "Nein und dann und dann und dann und dann und dann und dann."
GOOD = "Das war es."


class Says:
    """An engine that says one thing, and another when it is asked again."""

    state, reason, pid = "ready", "", None
    honours: frozenset[str] = frozenset()

    def __init__(self, encode: Any, first: str, second: str) -> None:
        self._encode = encode
        self._texts = first, second
        self.rows: list[TranslationRow] = []

    def wait_ready(self) -> bool:
        return True

    def run(self, rows: Sequence[TranslationRow], out: Outbox[TranslationRow, None, Translated]) -> None:
        self.rows += rows
        for i, row in enumerate(rows):
            text = self._texts[row.repetition_penalty != 1.0]
            out.done(i, Translated([Hypothesis(self._encode(text), -0.5)]))
        out.step()


async def translate(first: str, second: str, *, full: bool = False) -> tuple[Any, list[TranslationRow], list[str]]:
    card = next(card for card in find_models(WEIGHTS) if card.id == "translate")
    tokenizer = load_tokenizer(card)
    engine = Says(lambda text: tokenizer.tokens(tokenizer.encode(text)), first, second)
    batcher: Batcher[Any, Any, Any] = Batcher(
        engine, KINDS["ct2-translator"], Limits(rows=8, tokens=999), cores=CoreBudget(1), observer=Unobserved()
    )  # fmt: skip
    batcher.start()
    assert card.translation is not None
    task = TranslationTask(Model(card, tokenizer, engine, batcher), card.translation, load_family(card))
    run = await task.begin(["That was it. So be it then."], "en", "de")
    if full:
        batcher.refuse(Overloaded(1.0))
    parts = [part.text async for part in run]
    await batcher.stop()
    return run.done(), engine.rows, parts


async def test_a_good_second_try_replaces_a_loop() -> None:
    done, rows, parts = await translate(LOOP, GOOD)
    assert (done.items[0].text, done.items[0].flags) == (f"{GOOD} {GOOD}", [])
    assert "".join(parts) == done.items[0].text
    assert [row.no_repeat_ngram > 0 for row in rows] == [False, False, True, True]
    assert rows[2].beam_size >= rows[0].beam_size


async def test_a_second_try_that_is_no_better_is_not_taken() -> None:
    endless = "Ja, so ist das hier bei uns im Norden immer gewesen, meine lieben Leute von nebenan."
    done, rows, _ = await translate(LOOP, endless)
    assert len(rows) == 4
    assert done.items[0].flags == ["repetition"]
    assert done.items[0].text.startswith("Nein und dann")


async def test_without_room_for_a_second_try_the_first_stands_flagged() -> None:
    done, rows, parts = await translate(LOOP, GOOD, full=True)
    assert len(rows) == 2
    assert done.items[0].flags == ["repetition"]
    assert "".join(parts) == done.items[0].text


async def test_what_stays_wrong_is_flagged_and_cut() -> None:
    done, rows, _ = await translate(LOOP, LOOP)
    assert done.items[0].flags == ["repetition"]
    assert done.items[0].text.count("und dann") < 6
    assert len(rows) == 4


async def test_what_is_good_is_asked_for_once() -> None:
    done, rows, _ = await translate(GOOD, LOOP)
    assert (done.items[0].flags, len(rows)) == ([], 2)
    assert done.usage.completion_tokens > 0


def test_rows_with_and_without_alignment_do_not_share_a_call() -> None:
    assert kinds.translator(TranslationRow(["a"], 8)) != kinds.translator(TranslationRow(["a"], 8, alignment=True))
