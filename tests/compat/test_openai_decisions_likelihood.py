"""``/v1/decisions`` by a generator, through the official client: any question, by the likelihood of each answer."""

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.server_process import Served, serving

INPUT = "I would like to book a table for two at an Italian restaurant in San Jose, tomorrow at seven. " * 8
TOPIC: Any = {
    "type": "choice",
    "name": "topic",
    "instructions": "What does the customer want?",
    "choices": [
        {"value": "restaurant", "description": "a table somewhere"},
        {"value": "taxi_ride"},
        {"value": True, "description": "to cancel everything"},
    ],
}
HURRY: Any = {"type": "score", "instructions": "How urgent is it?", "levels": [
    {"label": "can wait"}, {"label": "soon"}, {"label": "now", "description": "somebody waits"}]}  # fmt: skip
TRUE: Any = {"type": "predicate", "instructions": "The customer wants to eat."}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--models", "assistant,sentiment") as served:
        yield served


def ask(client: openai.OpenAI, *questions: Any, text: Any = INPUT) -> Any:
    return client.decisions.create(model="assistant", input=text, questions=questions)


def test_every_kind_of_question_is_answered(client: openai.OpenAI) -> None:
    answer = ask(client, TOPIC, HURRY, TRUE)
    topic, hurry, true = answer.answers
    assert [one.value for one in topic.probabilities] == ["restaurant", "taxi_ride", True]
    assert topic.choice == max(topic.probabilities, key=lambda one: one.probability).value
    assert [one.value for one in hurry.probabilities] == [0, 1, 2]
    assert 0 < hurry.score < 2
    for one in (topic, hurry):
        assert sum(option.probability for option in one.probabilities) == pytest.approx(1)
        assert all(option.probability > 0 for option in one.probabilities)
        assert 0 <= one.confidence <= 1
    assert 0 < true.probability < 1
    assert answer.usage.output_tokens == 0


def test_the_input_decides(client: openai.OpenAI) -> None:
    """The same question about other inputs has other answers, and about none it has no opinion."""
    about = {text: ask(client, TOPIC, text=text).answers[0] for text in (INPUT, "Cancel it all, please.", "N/A")}
    assert len({one.probabilities[0].probability for one in about.values()}) == 3
    assert [one.probability for one in about["N/A"].probabilities] == pytest.approx([1 / 3] * 3)


def tokens(client: openai.OpenAI, **fields: Any) -> list[int]:
    told: Any = client.post("/../tokenize", body={"model": "assistant", **fields}, cast_to=object)
    return list(told["tokens"])


LISTED = "What is it about?\nAnswer with one of these:\n- a taxi: somebody goes\n- an Italian restaurant"


@pytest.mark.parametrize(("about", "asked"), [("somebody goes", LISTED), (None, "What is it about?")])
def test_the_probabilities_are_those_of_the_formula(client: openai.OpenAI, about: str | None, asked: str) -> None:
    """Done again by hand through /v1/completions, as docs/decisions.md says."""

    def mean_logprob(text: str, answer: str) -> float:
        context = tokens(client, messages=[{"role": "user", "content": f"{text}\n\n{asked}"}])
        ids = context + tokens(client, prompt=answer, add_special_tokens=False)
        told = client.completions.create(model="assistant", prompt=ids, max_tokens=0, echo=True, logprobs=0)
        assert told.choices[0].logprobs is not None
        logprobs = told.choices[0].logprobs.token_logprobs
        assert logprobs is not None
        return sum(map(float, logprobs[len(context) :])) / (len(ids) - len(context))

    choices: Any = [{"value": "a_taxi", "description": about}, {"value": "an Italian restaurant"}]
    question: Any = {"type": "choice", "instructions": "What is it about?", "choices": choices}
    answer = ask(client, question).answers[0]
    gains = [mean_logprob(INPUT, word) - mean_logprob("N/A", word) for word in ("a taxi", "an Italian restaurant")]
    powers = [math.exp(gain) for gain in gains]
    assert [one.probability for one in answer.probabilities] == pytest.approx([p / sum(powers) for p in powers])


@pytest.mark.anyio
async def test_an_answer_is_the_same_again_alone_and_beside_others(async_client: openai.AsyncOpenAI) -> None:
    fields: Any = {"model": "assistant", "input": INPUT}
    alone = await async_client.decisions.create(**fields, questions=[TOPIC])
    chat: Any = [{"role": "user", "content": "Tell me more."}]
    others = [async_client.chat.completions.create(model="assistant", messages=chat, max_tokens=60) for _ in range(12)]
    beside, *_ = await asyncio.gather(
        async_client.decisions.create(**fields, questions=[TRUE, TOPIC, HURRY, TOPIC]),
        async_client.decisions.create(**fields, questions=[TOPIC]),
        *others,
    )
    assert beside.answers[1] == beside.answers[3] == alone.answers[0]


@pytest.mark.parametrize("count", [30, 400])
def test_many_questions_read_the_input_once(client: openai.OpenAI, count: int) -> None:
    text = f"{INPUT} Nobody asked about this {count} times before."
    questions = [{**TRUE, "instructions": f"The customer wants {n} things."} for n in range(count)]
    usage = ask(client, *questions, text=text).usage
    computed = usage.input_tokens - usage.input_tokens_details.cached_tokens
    input_tokens = len(tokens(client, prompt=text))
    assert usage.input_tokens > count * 2 * input_tokens
    # A question has four rows, yes and no with the input and without: two read about 25 tokens of question, and each
    # what is left of a block of the cache, which has 16.
    assert computed < input_tokens + count * 70


def test_what_does_not_fit_is_refused_before_any_work(client: openai.OpenAI, server: Served) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, TOPIC, {**TRUE, "instructions": "It is long. " * 500})
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "questions.1")
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, {**TOPIC, "choices": [{"value": ""}, {"value": "a"}]})
    assert refused.value.param == "questions.0"
