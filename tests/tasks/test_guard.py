"""Guard models: the form of their verdicts, and the way from likelihoods to a verdict with categories."""

import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from models.registry import find_models
from models.tokenizers import Tokenizer, load_tokenizer
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines.base import Outbox
from server.engines.kinds import KINDS
from server.engines.rows import Generated, GenerationRow, Token
from server.errors import ContextLengthExceeded, InvalidValue, UnsupportedParameter
from server.metrics import Metrics
from server.serving.served_model import ServedModel
from server.tasks.guard import Guard, GuardForm, _shares
from server.tasks.model import Model
from tests.generator_folders import write_speaker

pytestmark = pytest.mark.anyio

CATEGORIES = "Violent.\nPII.\nUnethical Acts.\n"
QWEN = (
    "<|im_start|>user\nIs the last message harmful? Answer Safety: Safe, Safety: Controversial or Safety: Unsafe.\n"
    f"<BEGIN UNSAFE CONTENT CATEGORIES>\n{CATEGORIES}<END UNSAFE CONTENT CATEGORIES>\n"
    "{% for message in messages %}{{ message.role | upper }}: {{ message.content }}\n{% endfor %}<|im_end|>\n"
    "<|im_start|>assistant\n"
)
LLAMA = (
    "<|im_start|>user\n<BEGIN UNSAFE CONTENT CATEGORIES>\nS1: Violent Crimes.\nS2: Hate.\nS10: Elections.\n"
    "<END UNSAFE CONTENT CATEGORIES>\nThe first line must read 'safe' or 'unsafe'.\n"
    "{% for message in messages %}User: {{ message.content }}\n{% endfor %}<|im_end|><|im_start|>assistant<|im_end|>"
)


def test_the_form_is_read_from_the_prompt() -> None:
    qwen = GuardForm.of(QWEN)
    assert qwen is not None
    assert list(qwen.verdicts) == ["safe", "controversial", "unsafe"]
    assert list(qwen.categories.values()) == ["Violent", "PII", "Unethical Acts"]
    strict = GuardForm.of(QWEN.replace("Safety: Controversial", ""))
    assert strict is not None
    assert list(strict.verdicts) == ["safe", "unsafe"]
    llama = GuardForm.of(LLAMA)
    assert llama is not None
    assert llama.verdicts == {"safe": "\n\nsafe", "unsafe": "\n\nunsafe"}
    assert llama.categories == {"S1": "Violent Crimes", "S2": "Hate", "S10": "Elections"}
    own = GuardForm.of(LLAMA + "\n\n")
    assert own is not None
    assert own.verdicts["safe"] == "safe"


OTHERS = ("", "Hello.", "<BEGIN UNSAFE CONTENT CATEGORIES>\nS1: x\n", QWEN.replace(CATEGORIES, ""),
          LLAMA.replace("'safe' or 'unsafe'", "yes or no"))  # fmt: skip


@pytest.mark.parametrize("prompt", OTHERS)
def test_another_prompt_is_no_guards(prompt: str) -> None:
    assert GuardForm.of(prompt) is None


@dataclass
class Oracle:
    """An engine that finds each answer as likely as a table says, by how the answer ends."""

    honours: ClassVar[frozenset[str]] = frozenset({"prompt_logprobs", "thinking_budget"})
    tokenizer: Tokenizer
    likely: Mapping[str, float]
    state: str = "ready"
    reason: str = ""
    answers: list[str] = field(default_factory=list)

    def wait_ready(self) -> bool:
        return True

    def run(self, rows: Any, out: Outbox[GenerationRow, Token, Generated]) -> None:
        for i, row in enumerate(rows):
            answer = self.tokenizer.decode(list(row.prompt)).rpartition("assistant")[2].removeprefix("<|im_end|>")
            answer = answer if answer.startswith("\n\n") else answer.removeprefix("\n")
            answer += "." if row.prompt[-1] in self.tokenizer.special_tokens.values() else ""
            self.answers.append(answer)
            logprob = math.log(self.likely.get(answer, 1e-6))
            scored = [Token(id, logprob if n == 0 else 0.0) for n, id in enumerate(row.prompt[row.score_from :])]
            out.done(i, Generated("length", prompt=scored))
        out.step()

    def close(self) -> None:
        pass


@pytest.fixture
def judging(tmp_path: Path) -> Callable[..., Any]:
    """``async with judging(template, likely) as (guard, engine)``."""

    @asynccontextmanager
    async def make(template: str, likely: Mapping[str, float]) -> AsyncIterator[tuple[Guard, Oracle]]:
        write_speaker(tmp_path / "guard", [QWEN, LLAMA, "Safety: Unsafe\nCategories: Violent, PII"], template=template)
        (card,) = find_models(tmp_path)
        tokenizer = load_tokenizer(card)
        engine = Oracle(tokenizer, likely)
        batcher: Batcher[Any, Any, Any] = Batcher(
            engine, KINDS["step"], Limits(rows=64, tokens=100_000), cores=CoreBudget(1),
            observer=Metrics("test").of("guard"), name="guard",
        )  # fmt: skip
        guard = ServedModel.of(Model(card, tokenizer, engine, batcher)).guard  # type: ignore[arg-type]
        assert guard is not None
        batcher.start()
        try:
            yield guard, engine
        finally:
            await batcher.stop()

    return make


UNSAFE = "Safety: Unsafe\nCategories: "


async def test_the_likeliest_verdict_wins_and_categories_follow_until_the_end(judging: Any) -> None:
    likely = {
        "Safety: Safe": 0.1, "Safety: Controversial": 0.1, "Safety: Unsafe": 0.6,
        f"{UNSAFE}Violent": 0.2, f"{UNSAFE}PII": 0.6,
        f"{UNSAFE}PII, Violent": 0.5, f"{UNSAFE}PII, Unethical Acts": 0.1, f"{UNSAFE}PII.": 0.2,
        f"{UNSAFE}PII, Violent, Unethical Acts": 0.1, f"{UNSAFE}PII, Violent.": 0.9,
    }  # fmt: skip
    async with judging(QWEN, likely) as (guard, _):
        done = await guard.judge(["Something bad."])
        (item,) = done.items
        assert item.verdict == "unsafe"
        assert item.scores == pytest.approx({"safe": 0.125, "controversial": 0.125, "unsafe": 0.75}, abs=1e-3)
        assert item.categories == ["PII", "Violent"]
        assert item.category_scores == pytest.approx({"Violent": 0.625, "PII": 0.75, "Unethical Acts": 0.125}, abs=1e-3)
        assert done.usage.prompt_tokens > 0 == done.usage.completion_tokens


async def test_a_safe_text_has_no_categories(judging: Any) -> None:
    likely = {"Safety: Safe": 0.9, "Safety: Controversial": 0.08, "Safety: Unsafe": 0.02,
              "Safety: Controversial\nCategories: PII": 0.9}  # fmt: skip
    async with judging(QWEN, likely) as (guard, engine):
        (item,) = (await guard.judge(["Something good."])).items
        assert (item.verdict, item.categories) == ("safe", [])
        assert item.category_scores["PII"] == pytest.approx(1, abs=1e-3)
        assert not any(answer.endswith(".") for answer in engine.answers)


async def test_llama_guards_numbers_are_told_apart(judging: Any) -> None:
    likely = {
        "\n\nsafe": 0.2,
        "\n\nunsafe": 0.8,
        "\n\nunsafe\nS1": 0.1,
        "\n\nunsafe\nS10": 0.7,
        "\n\nunsafe\nS10.": 0.9,
    }
    async with judging(LLAMA, likely) as (guard, _):
        (item,) = (await guard.judge(["Vote twice."])).items
        assert item.verdict == "unsafe"
        assert item.categories == ["Elections"]
        assert item.scores == pytest.approx({"safe": 0.2, "unsafe": 0.8}, abs=1e-3)


def test_an_answer_that_begins_another_one_loses_its_likelihood() -> None:
    rows = [((5, 1), 1), ((5, 1, 0), 1), ((5, 2), 1)]
    assert _shares(rows, [math.log(0.5), math.log(0.4), math.log(0.5)]) == pytest.approx([0.1, 0.4, 0.5])


async def test_texts_of_a_list_are_judged_as_alone(judging: Any) -> None:
    likely = {"Safety: Safe": 0.3, "Safety: Unsafe": 0.6, f"{UNSAFE}Violent": 0.9, f"{UNSAFE}Violent.": 0.9}
    async with judging(QWEN, likely) as (guard, engine):
        alone = (await guard.judge(["One."])).items
        before = len(engine.answers)
        both = (await guard.judge(["One.", "Two."])).items
        assert both == [*alone, *alone]
        assert len(engine.answers) == 3 * before


async def test_what_cannot_be_judged_is_refused_before_any_work(judging: Any) -> None:
    async with judging(QWEN, {}) as (guard, engine):
        with pytest.raises(InvalidValue):
            await guard.judge(["One.", " "])
        with pytest.raises(ContextLengthExceeded):
            await guard.judge(["One.", "It is long. " * 2000])
        engine.honours = frozenset()
        with pytest.raises(UnsupportedParameter):
            await guard.judge(["One."])
        assert engine.answers == []


async def test_a_template_of_another_kind_makes_no_guard(tmp_path: Path) -> None:
    write_speaker(tmp_path / "plain", ["Hello."])
    (card,) = find_models(tmp_path)
    model = Model(card, load_tokenizer(card), Oracle(load_tokenizer(card), {}), None)  # type: ignore[arg-type]
    assert ServedModel.of(model).guard is None
