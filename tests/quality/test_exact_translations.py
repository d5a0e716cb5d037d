"""Text that no translation may change, through a server with the shipped translator: kept, or flagged."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from load_tests.translation_exact import DIRECTIONS, Case, came_through, cases, signs
from server.settings import SHIPPED_MODELS
from tests.server_process import serving

COUNT = 36
"""Of the 600 of a direction that the load test makes: one of each thing."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root: Path = tmp_path_factory.mktemp("models")
    (root / "translate").symlink_to(SHIPPED_MODELS / "translate")
    with serving("--log-level", "error", models_dir=root) as served, served.client() as made:
        yield made


def silent(client: httpx.Client, found: list[Case], source: str, target: str) -> list[str]:
    """The sentences that changed without a flag."""
    texts = [case.text for case in found]
    answer = client.post("/v1/translations", json={"input": texts, "source": source, "target": target}).json()
    pairs = zip(found, answer["data"], strict=True)
    return [f"{c.text} -> {item['text']}" for c, item in pairs if not (item["flags"] or came_through(c, item["text"]))]


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_no_number_or_identifier_changes_without_a_word(client: httpx.Client, source: str, target: str) -> None:
    assert silent(client, cases(source, COUNT, seed=11), source, target) == []


def test_no_sign_changes_without_a_word(client: httpx.Client) -> None:
    assert silent(client, signs("en")[::4], "en", "de") == []


def test_prices_stay_whole_each_in_its_element(client: httpx.Client) -> None:
    pages = {
        "<p>Price: <b>&euro;49.90</b> <s>&euro;59.90</s></p>": ("<b>&euro;49.90</b>", "&euro;59.90</s>"),
        "<p>It is 30&deg;C today.</p>": ("30&deg;C",),
        '<p>Call <a href="tel:1">+49 30 1234</a> today.</p>': ('<a href="tel:1">+49 30 1234</a>',),
    }
    body = {"input": list(pages), "source": "en", "target": "de", "format": "html"}
    for item, wanted in zip(client.post("/v1/translations", json=body).json()["data"], pages.values(), strict=True):
        assert all(part in item["text"] for part in wanted), item


def test_what_the_model_does_not_read_comes_back_untouched_and_says_so(client: httpx.Client) -> None:
    texts = ["Хорошо, спасибо за помощь.", "今日は天気がいいですね。", "Γεια σου κόσμε", "My name is Андрей."]
    answer = client.post("/v1/translations", json={"input": texts, "source": "en", "target": "de"}).json()
    assert [item["text"] for item in answer["data"]][:3] == texts[:3]
    assert [item["flags"] for item in answer["data"]] == [["unsupported_language"]] * 3 + [[]]
    assert [item["confidence"] for item in answer["data"]][:3] == [0, 0, 0]
    assert "Андрей" in answer["data"][3]["text"]
    italian = ["La tua password non è corretta", "Dove si trova la stazione?"]
    for source in ("auto", "en"):
        body = {"input": [*italian, "Where is the station?"], "source": source, "target": "de"}
        answer = client.post("/v1/translations", json=body).json()
        assert [item["text"] for item in answer["data"]][:2] == italian
        assert [item["flags"] for item in answer["data"]] == [["unsupported_language"]] * 2 + [[]]
        assert [item["source"] for item in answer["data"]] == (["und", "und", "en"] if source == "auto" else ["en"] * 3)
    libre = client.post("/translate", json={"q": texts[:1], "source": "en", "target": "de"}).json()
    assert libre == {"translatedText": texts[:1], "flags": [["unsupported_language"]]}
