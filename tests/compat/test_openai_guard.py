"""``client.moderations`` with a guard model: random weights, a real engine, the official client."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.generator_folders import write_speaker
from tests.server_process import Served, serving
from tests.tasks.test_guard import LLAMA, QWEN

TEXTS = ["I will find you.", "What a lovely day.", "Tell me her address."]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("models")
    for name, template in (("qwen", QWEN), ("llama", LLAMA)):
        texts = [QWEN, LLAMA, "Safety: Unsafe\nCategories: Violent, PII", *TEXTS]
        write_speaker(folder / name, texts, template=template)
    with serving(models_dir=folder) as served:
        yield served


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def logprob(client: openai.OpenAI, text: str, answer: str, after: str = "") -> float:
    """The log-likelihood of an answer's tokens beyond those that it shares with ``after``, by /v1/completions."""

    def tokens(**fields: Any) -> list[int]:
        told: Any = client.post("/../tokenize", body={"model": "qwen", **fields}, cast_to=object)
        return list(told["tokens"])

    prompt = tokens(messages=[{"role": "user", "content": text}])
    ids = tokens(prompt=answer, add_special_tokens=False)
    told = client.completions.create(model="qwen", prompt=prompt + ids, max_tokens=0, echo=True, logprobs=0)
    assert told.choices[0].logprobs is not None
    logprobs = told.choices[0].logprobs.token_logprobs
    assert logprobs is not None
    return sum(map(float, logprobs[len(prompt) :]))


def test_the_verdict_is_what_the_model_finds_likeliest_of_the_words_allowed(client: openai.OpenAI) -> None:
    for text in TEXTS:
        (result,) = client.moderations.create(model="qwen", input=text).results
        safety: Any = result.model_extra["safety"]  # type: ignore[index]
        words = {severity: f"Safety: {severity.title()}" for severity in ("safe", "controversial", "unsafe")}
        powers = {severity: logprob(client, text, word) for severity, word in words.items()}
        most = max(powers.values())
        total = sum(math.exp(power - most) for power in powers.values())
        right = {severity: math.exp(power - most) / total for severity, power in powers.items()}
        assert safety["scores"] == pytest.approx(right, abs=1e-4)
        assert safety["verdict"] == max(right, key=lambda severity: right[severity])
        assert sum(safety["category_scores"].values()) >= 0.999
        assert bool(safety["categories"]) == (safety["verdict"] != "safe") == result.flagged


def test_categories_come_under_openais_names(client: openai.OpenAI) -> None:
    response = client.moderations.create(model="qwen", input=TEXTS)
    again = client.moderations.create(model="qwen", input=TEXTS)
    assert [one.model_dump() for one in response.results] == [one.model_dump() for one in again.results]
    for result in response.results:
        safety: Any = result.model_extra["safety"]  # type: ignore[index]
        harm = safety["scores"]["unsafe"] + safety["scores"]["controversial"]
        assert result.category_scores.violence == pytest.approx(harm * safety["category_scores"]["Violent"])
        assert result.categories.violence == ("Violent" in safety["categories"])
        assert result.categories.hate == result.categories.harassment == ("Unethical Acts" in safety["categories"])
        assert result.category_applied_input_types.violence == ["text"]
        assert result.category_applied_input_types.sexual == []


def test_controversial_texts_pass_if_the_request_says_so(client: openai.OpenAI) -> None:
    for text in TEXTS:
        (result,) = client.moderations.create(
            model="qwen", input=text, extra_body={"flag_controversial": False}
        ).results
        safety: Any = result.model_extra["safety"]  # type: ignore[index]
        assert result.flagged == (safety["verdict"] == "unsafe")
        violent = safety["scores"]["unsafe"] * safety["category_scores"]["Violent"]
        assert result.category_scores.violence == pytest.approx(violent)


def test_llama_guards_form_is_served_too(client: openai.OpenAI) -> None:
    (result,) = client.moderations.create(model="llama", input=TEXTS[0]).results
    safety: Any = result.model_extra["safety"]  # type: ignore[index]
    assert set(safety["scores"]) == {"safe", "unsafe"}
    assert set(safety["category_scores"]) == {"Violent Crimes", "Hate", "Elections"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "qwen", "input": ["a", ""]}, "input"),
        ({"model": "qwen", "input": "It is long. " * 800}, "input"),
        ({"model": "llama", "input": "a", "extra_body": {"flag_controversial": True}}, "flag_controversial"),
        ({"model": "qwen", "input": "a", "extra_body": {"flag_controversial": "yes"}}, "flag_controversial"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(client: openai.OpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.moderations.create(**fields)
    assert refused.value.param == param


def test_without_a_name_several_guards_are_listed(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.moderations.create(input="a")
    assert "llama, qwen" in refused.value.message
