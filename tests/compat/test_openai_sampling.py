"""The makers' recommended sampling, through the official client: it applies if a request has no sampling fields."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.generator_folders import write_speaker
from tests.server_process import Served, serving

ROOT = Path(__file__).parents[2]
ASK: Any = [{"role": "user", "content": "Hi there"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("models")
    texts = (ROOT / "tests" / "quality" / "translation.tsv").read_text("utf-8").splitlines()
    write_speaker(folder / "cool", texts, sampling={"temperature": 0.6, "top_k": 1, "repetition_penalty": 1.5})
    write_speaker(folder / "bare", texts)
    with serving(models_dir=folder) as served:
        yield served


def said(client: OpenAI, model: str = "cool", seed: int = 1, **extra: Any) -> str:
    same: Any = {"temperature": extra.pop("temperature")} if "temperature" in extra else {}
    answer = client.chat.completions.create(
        model=model, messages=ASK, max_tokens=20, seed=seed, extra_body=extra, **same
    )
    return str(answer.choices[0].message.content)


def test_recommendations_are_used_where_the_request_says_nothing(client: OpenAI) -> None:
    assert said(client) == said(client, seed=2) == said(client, "bare", top_k=1, repetition_penalty=1.5)
    assert said(client, "bare") != said(client, "bare", seed=2)


def test_a_requests_own_value_always_wins(client: OpenAI) -> None:
    for off in (0, -1):
        wide = said(client, top_k=off)
        assert wide != said(client, top_k=off, seed=2)
        assert wide == said(client, "bare", temperature=0.6, repetition_penalty=1.5)
    for name in ("repetition_penalty", "repeat_penalty"):
        assert said(client, **{name: 1}) == said(client, "bare", top_k=1)


def test_greedy_requests_remain_greedy(client: OpenAI) -> None:
    greedy = said(client, temperature=0, top_k=0)
    assert (
        greedy
        == said(client, temperature=0, top_k=0, seed=2)
        == said(client, "bare", temperature=0, repetition_penalty=1.5)
    )


def test_completions_and_responses_use_them_and_the_response_says_which(client: OpenAI) -> None:
    texts = {client.completions.create(model="cool", prompt="Hi", max_tokens=9).choices[0].text for _ in range(3)}
    assert len(texts) == 1
    answer = client.responses.create(model="cool", input="Hi", max_output_tokens=9)
    assert (answer.temperature, answer.top_p) == (0.6, 1.0)
    assert client.responses.create(model="cool", input="Hi", max_output_tokens=9, temperature=1).temperature == 1


def test_the_list_of_models_shows_them(client: OpenAI) -> None:
    shown = {model.id: model.model_dump()["sampling"] for model in client.models.list().data}
    assert shown["cool"] == {"temperature": 0.6, "top_k": 1, "repetition_penalty": 1.5}
    assert shown["bare"] == {}
