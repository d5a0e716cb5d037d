"""``/v1/decisions`` through the official client."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.server_process import serving

TICKET = "I was charged twice for the same subscription."
TOPIC: Any = {
    "type": "choice",
    "name": "topic",
    "instructions": "What is the message about?",
    "choices": [
        {"value": "billing", "description": "a problem with a payment or a charge"},
        {"value": "shipping", "description": "where a parcel is and when it arrives"},
        {"value": True, "description": "praise for the staff"},
    ],
}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with serving("--models", "embed,sentiment") as served:
        yield openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def ask(client: openai.OpenAI, model: str, *questions: Any, text: Any = TICKET) -> Any:
    return client.decisions.create(model=model, input=text, questions=questions)


def test_an_embedding_model_answers_a_choice_zero_shot(client: openai.OpenAI) -> None:
    answer = ask(client, "embed", TOPIC).answers[0]
    assert (answer.type, answer.name, answer.choice) == ("choice", "topic", "billing")
    assert [option.value for option in answer.probabilities] == ["billing", "shipping", True]
    assert sum(option.probability for option in answer.probabilities) == pytest.approx(1)
    assert 0 <= answer.confidence <= 1


def test_a_predicate_is_likelier_the_nearer_it_is(client: openai.OpenAI) -> None:
    near: Any = {"type": "predicate", "instructions": "The customer was charged more than once."}
    far: Any = {"type": "predicate", "instructions": "The weather will be sunny at the weekend."}
    answers = ask(client, "embed", near, far).answers
    assert answers[0].probability > 0.5 > answers[1].probability


def test_a_classifier_answers_with_its_own_labels(client: openai.OpenAI) -> None:
    levels = [{"label": "negative"}, {"label": "neutral"}, {"label": "positive"}]
    mood: Any = {"type": "score", "instructions": "How does it sound?", "levels": levels}
    good: Any = {"type": "predicate", "instructions": "The text is positive."}
    answers = ask(client, "sentiment", mood, good, text="I love this place!").answers
    assert answers[0].score > 1.5
    assert answers[0].probabilities[2].value == 2
    assert answers[1].probability == pytest.approx(answers[0].probabilities[2].probability)


def test_the_same_question_twice_gets_the_same_answer(client: openai.OpenAI) -> None:
    first, second = ask(client, "embed", TOPIC, TOPIC).answers
    assert first == second
    assert ask(client, "embed", TOPIC).answers[0] == first


def test_four_hundred_questions_read_the_input_once(client: openai.OpenAI) -> None:
    one = ask(client, "embed", TOPIC)
    many = ask(client, "embed", *[TOPIC] * 400)
    assert len(many.answers) == 400
    assert many.usage.input_tokens == one.usage.input_tokens


def test_messages_are_read_as_one_text(client: openai.OpenAI) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "input_text", "text": TICKET}]}]
    assert ask(client, "embed", TOPIC, text=parts).answers == ask(client, "embed", TOPIC).answers


@pytest.mark.parametrize(
    ("model", "question", "param"),
    [
        ("sentiment", TOPIC, "questions.0"),
        ("sentiment", {"type": "predicate", "instructions": "It rains."}, "questions.0.instructions"),
        ("embed", {"type": "choice", "instructions": "?", "choices": [{"value": "a"}]}, "questions.0.choices"),
        ("embed", {"type": "guess", "instructions": "?"}, "questions.0.type"),
        ("embed", {**TOPIC, "choices": [{"value": "a"}, {"value": "a"}]}, "questions.0.choices"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(
    client: openai.OpenAI, model: str, question: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, model, question)
    assert refused.value.param == param


def test_one_to_four_hundred_questions(client: openai.OpenAI) -> None:
    for questions in ([], [TOPIC] * 401):
        with pytest.raises(openai.BadRequestError):
            ask(client, "embed", *questions)
