"""Entities by a token classifier of random numbers: the weights' own tags, long texts, redaction, refusals."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient

from models.convert import Request, convert, open_path
from models.convert.passage import PASSAGE
from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.tasks.tags import entities
from tests.convert.bare_encoders import POSITIONS, arrays_of, hidden, write_tagger
from tests.server_process import serving

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXT = "Two men were mending nets: e\u0301t 🙂 München!"
ROOM, OVERLAP = POSITIONS - 2, (POSITIONS - 2) // 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder: Path = tmp_path_factory.mktemp("models")
    hub = write_tagger(tmp_path_factory.mktemp("hub") / "bert", "bert", TAGS)
    convert(open_path(hub), folder, "ner", Request(quantization="float32", check="structure"))
    tokenizer = load_tokenizer(read_card(folder / "ner"))
    with serving(models_dir=folder) as served, served.client() as client:
        yield SimpleNamespace(client=client, url=served.url, tokenizer=tokenizer, arrays=arrays_of("bert", tags=5))


def probabilities(world: SimpleNamespace, row: list[int]) -> np.ndarray:
    """What the weights give the tokens of a row, without those around it."""
    states = hidden("bert", world.arrays, row)
    logits = states @ world.arrays["classifier.weight"].T + world.arrays["classifier.bias"]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True))[1:-1].astype(np.float32)


def wanted(world: SimpleNamespace, text: str, aggregation: Any, overlap: int = OVERLAP) -> list[Any]:
    spans = world.tokenizer.encode_spans(text)
    ids = [span.id for span in spans]
    parts, at, begin = [], 0, 0
    while True:
        last = at + ROOM >= len(ids)
        numbers = probabilities(world, [2, *ids[at : at + ROOM], 3])
        after = at + ROOM - overlap
        end = len(ids) if last else (after + at + ROOM + 1) // 2
        parts.append(numbers[begin - at : end - at])
        begin, at = end, after
        if last:
            break
    return entities(text, spans, np.concatenate(parts), TAGS, aggregation)


def ask(world: SimpleNamespace, path: str = "/v1/entities", **body: Any) -> Any:
    answer = world.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("text", [TEXT, PASSAGE], ids=["short", "long"])
def test_entities_are_those_of_the_models_tags(world: SimpleNamespace, text: str, aggregation: str) -> None:
    [item] = ask(world, input=text, aggregation=aggregation)["data"]
    found = [(each["label"], each["start"], each["end"]) for each in item["entities"]]
    made = wanted(world, text, aggregation)
    assert found == [(each.label, each.begin, each.end) for each in made]
    assert found or text is TEXT
    for each, other in zip(item["entities"], made, strict=True):
        assert each["text"] == text[each["start"] : each["end"]]
        assert each["score"] == pytest.approx(other.score, abs=1e-4)
    assert (item["windows"] > 3) == (text is PASSAGE)


def test_texts_are_redacted(world: SimpleNamespace) -> None:
    answer = ask(world, model="ner", input=[TEXT, PASSAGE], redact=True)
    assert (answer["object"], answer["model"]) == ("list", "ner")
    assert answer["usage"]["prompt_tokens"] > 100
    for item, text in zip(answer["data"], (TEXT, PASSAGE), strict=True):
        rest, at = [], 0
        for each in item["entities"]:
            rest += [text[at : each["start"]], f"[{each['label']}]"]
            at = each["end"]
        assert item["redacted"] == "".join([*rest, text[at:]])
    [item] = ask(world, input=TEXT, redact=True, replacement="***")["data"]
    assert item["redacted"].count("***") == len(item["entities"])
    assert "redacted" not in ask(world, input=TEXT)["data"][0]


def test_labels_and_scores_choose(world: SimpleNamespace) -> None:
    every = ask(world, input=PASSAGE)["data"][0]["entities"]
    people = ask(world, input=PASSAGE, labels=["PER"])["data"][0]["entities"]
    assert people == [each for each in every if each["label"] == "PER"]
    middle = sorted(each["score"] for each in every)[len(every) // 2]
    sure = ask(world, input=PASSAGE, min_score=middle)["data"][0]["entities"]
    assert sure == [each for each in every if each["score"] >= middle]
    assert 0 < len(sure) < len(every)


def test_a_text_without_tokens_has_no_entities(world: SimpleNamespace) -> None:
    assert ask(world, input="\u200b", redact=True)["data"][0] | {"index": 0} == {
        "object": "entities", "index": 0, "entities": [], "redacted": "\u200b", "windows": 1,
    }  # fmt: skip


def test_hugging_faces_client_runs(world: SimpleNamespace) -> None:
    client = InferenceClient(model=f"{world.url}/pipeline/token-classification")
    found = client.token_classification(TEXT)
    made = wanted(world, TEXT, "simple")
    assert [(each.entity_group, each.start, each.end) for each in found] == [(e.label, e.begin, e.end) for e in made]
    assert [each.word for each in found] == [TEXT[each.begin : each.end] for each in made]
    plain = client.token_classification(TEXT, aggregation_strategy="none")
    tokens = wanted(world, TEXT, "none")
    assert [each["entity"] for each in plain] == [each.tag for each in tokens]
    body = {"inputs": [TEXT], "parameters": {"aggregation_strategy": "none", "ignore_labels": ["O", "PER"]}}
    [rest] = ask(world, "/pipeline/token-classification", **body)
    assert [each["index"] for each in rest] == [each.token + 1 for each in tokens if each.label != "PER"]


def test_a_stride_is_what_windows_share(world: SimpleNamespace) -> None:
    body = {"inputs": PASSAGE, "parameters": {"stride": 10}}
    found = ask(world, "/pipeline/token-classification", **body)
    made = wanted(world, PASSAGE, "simple", overlap=10)
    assert [(each["start"], each["end"]) for each in found] == [(each.begin, each.end) for each in made]


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/v1/entities", {"input": []}, "'input'"),
        ("/v1/entities", {"input": ["a", " "]}, "Input 1 is empty"),
        ("/v1/entities", {"input": "a", "labels": ["ORG"]}, "finds no 'ORG', but PER, LOC"),
        ("/v1/entities", {"input": "a", "labels": []}, "'labels'"),
        ("/v1/entities", {"input": "a", "min_score": 1.5}, "'min_score'"),
        ("/v1/entities", {"input": "a", "aggregation": "last"}, "'aggregation'"),
        ("/v1/entities", {"input": "a", "redacted": True}, "Did you mean 'redact'"),
        ("/v1/entities", {"input": "a", "model": "nobody"}, "for entities"),
        ("/pipeline/token-classification", {"inputs": "a", "parameters": {"ignore_labels": []}}, "ignore_labels"),
        ("/pipeline/token-classification", {"inputs": "a", "parameters": {"stride": 500}}, "they share fewer"),
        ("/pipeline/token-classification", {"inputs": "a", "parameters": {"x": 5}}, "parameters.x"),
        ("/v1/sentiment", {"input": "a"}, "There is no model"),
    ],
)
def test_what_cannot_be_found_is_refused_by_name(
    world: SimpleNamespace, path: str, body: dict[str, Any], word: str
) -> None:
    answer = world.client.post(path, json=body)
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    assert word in (error if isinstance(error, str) else error["message"])


def test_the_model_is_listed_with_its_labels(world: SimpleNamespace) -> None:
    listed = world.client.get("/v1/models/ner").json()
    assert (listed["task"], listed["labels"]) == ("entities", {"entities": ["PER", "LOC"]})
