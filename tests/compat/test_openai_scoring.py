"""Log-probabilities of prompts through the official client: the basis of lm-evaluation-harness."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.server_process import serving

PROMPT = "Your appointment is at ten on Monday."


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with serving("--models", "assistant") as served:
        yield openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def complete(client: openai.OpenAI, **kwargs: Any) -> Any:
    return client.completions.create(model="assistant", temperature=0, **{"prompt": PROMPT, **kwargs})


def ids_of(client: openai.OpenAI, text: str = PROMPT) -> list[int]:
    ids: list[int] = client.post("/../tokenize", body={"model": "assistant", "prompt": text}, cast_to=object)["tokens"]  # type: ignore[index]
    return ids


def test_an_echo_tells_each_tokens_probability(client: openai.OpenAI) -> None:
    choice = complete(client, echo=True, logprobs=2, max_tokens=5).choices[0]
    told = choice.logprobs
    assert choice.text.startswith(PROMPT)
    assert "".join(told.tokens).lstrip() == choice.text
    assert told.token_logprobs[0] is None
    assert told.top_logprobs[0] is None
    assert all(logprob <= 0 for logprob in told.token_logprobs[1:])
    assert all(2 <= len(top) <= 3 for top in told.top_logprobs[1:])
    assert len(told.tokens) == len(told.token_logprobs) == len(told.text_offset)


def test_nothing_need_be_made_to_score_a_prompt(client: openai.OpenAI) -> None:
    answer = complete(client, echo=True, logprobs=0, max_tokens=0)
    assert answer.choices[0].text == PROMPT
    assert answer.usage.completion_tokens == 0


def test_the_likelihood_of_a_continuation_is_that_of_making_it(client: openai.OpenAI) -> None:
    """Greedy tokens, scored afterwards as a prompt of ids, have the log-probabilities they were made with."""
    ids = ids_of(client)
    go_on: Any = {"ignore_eos": True}
    made = complete(client, prompt=ids, logprobs=1, max_tokens=8, extra_body=go_on).choices[0].logprobs
    scored = complete(client, prompt=ids, echo=True, logprobs=1, max_tokens=8, extra_body=go_on).choices[0].logprobs
    assert scored.tokens[len(ids) :] == made.tokens
    assert scored.token_logprobs[len(ids) :] == pytest.approx(made.token_logprobs, abs=1e-5)


def test_prompts_of_a_list_are_scored_each_for_itself(client: openai.OpenAI) -> None:
    prompts = [PROMPT, "Where is the station?"]
    together = complete(client, prompt=prompts, echo=True, logprobs=1, max_tokens=1).choices
    for prompt, choice in zip(prompts, together, strict=True):
        alone = complete(client, prompt=prompt, echo=True, logprobs=1, max_tokens=1).choices[0]
        assert choice.text == alone.text
        assert choice.logprobs == alone.logprobs


def test_what_is_not_there_is_refused_by_name(client: openai.OpenAI) -> None:
    for param, kwargs in (("max_tokens", {"max_tokens": 0}), ("echo", {"echo": True, "logprobs": 1, "stream": True})):
        with pytest.raises(openai.BadRequestError) as refused:
            complete(client, **kwargs)
        assert refused.value.param == param
