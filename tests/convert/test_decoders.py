"""Decoders from a hub: each family's outputs equal the original's, through the engine that serves it."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from load_tests.step.originals import logits_of
from models.cards import ModelCard
from models.convert import CannotConvert, Mismatch, Request, convert, open_path
from models.convert.architectures import llama, page_of
from models.convert.decoder_files import write_decoder, write_facts
from models.convert.network import Rope
from models.convert.original import load
from models.convert.probe import open_loop
from models.registry import read_card, verify
from models.tokenizers import load_tokenizer
from server.cli.probes import open_served
from server.engines.step import support
from server.engines.step.support import core
from server.serving.build import engine_for
from server.tasks.generation.chat_template import ChatTemplate
from tests.convert.decoder_repositories import CHAT_ML, KINDS, OWN, POSITIONS, REACH, change, write
from tests.engines.step import reference

STEP = pytest.mark.skipif(core() is None, reason="the step engine is not compiled here")


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The repository of a kind, written once; not to be changed."""
    root = tmp_path_factory.mktemp("hub")

    def repository(kind: str) -> Path:
        folder: Path = root / kind.replace(" ", "-")
        return folder if folder.exists() else write(folder, kind)

    return repository


def made(source: Path, models: Path, **request: Any) -> ModelCard:
    options = {"open_probe": open_served, "check": "original", **request}
    return read_card(convert(open_path(source), models, "mine", Request(**options)))


def figures(card: ModelCard) -> dict[str, float]:
    return {figure.metric: figure.value for figure in card.figures}


@STEP
@pytest.mark.parametrize("kind", KINDS)
def test_a_family_computes_what_the_original_does(repository: Any, tmp_path: Path, kind: str) -> None:
    card = made(repository(kind), tmp_path)
    verify(card)
    found = figures(card)
    assert (kind in OWN) != (found.get("largest difference of a logit in float32", 1.0) < 1e-4)
    assert found["noise of the logits as served, int8_float32"] < 0.12  # of random weights: more than of trained ones
    assert found["same likeliest token as the original"] > 0.8
    assert card.generation is not None
    assert card.generation.closed_loop_tokens == REACH.get(kind)
    stretched = {"gpt2": 256, "phi4": 4096, "phi3.5": 4096}
    assert card.context_length_tokens == stretched.get(kind, POSITIONS)


@pytest.mark.parametrize(("kind", "tokens"), [*((kind, 300) for kind in OWN), ("phi4", 2100), ("phi3.5", 2100)])
def test_what_ctranslate2_does_not_compute_is_exact_in_numpy(
    repository: Any, tmp_path: Path, kind: str, tokens: int
) -> None:
    """The page's facts and names, without the noise of int8; positions beyond the original context too."""
    source = open_path(repository(kind))
    decoder = page_of(source.architecture).decoder(source.config)
    write_decoder(source, decoder, tmp_path, "float32")
    write_facts(decoder, {}, [], tmp_path)
    ids = np.random.default_rng(0).integers(0, 300, tokens).tolist()
    wanted = logits_of(load("AutoModelForCausalLM", source, attn_implementation="eager"), ids)
    found = reference.logits(tmp_path, ids)
    assert np.abs(found - wanted).max() < 1e-3 * wanted.std()


@STEP
@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("hunyuan", {"qk_norm": "each"}),
        ("olmo3", {"windows": ()}),
        ("olmo3", {"ropes": (Rope(10000.0),) * 2}),
        ("exaone4", {"windows": ()}),
        ("exaone4", {"ropes": (Rope(10000.0),) * 2}),
        ("qwen3 with yarn", {"ropes": (Rope(10000.0),) * 2}),
        ("phi3.5", {"ropes": (Rope(10000.0),) * 2}),
        ("gpt-neox", {"norms": "before"}),
        ("gpt-neox", {"ropes": (Rope(10000.0),) * 2}),
        ("gptj", {"ropes": (Rope(10000.0, dimensions=8),) * 2}),
    ],
)
def test_a_fact_that_a_page_forgets_is_refused(
    repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, facts: dict[str, Any]
) -> None:
    page = page_of(open_path(repository(kind)).architecture)
    forgetful = replace(page, facts=lambda stated: replace(page.facts(stated), **facts))
    for module in ("decoders", "decoder_files"):
        monkeypatch.setattr(f"models.convert.{module}.page_of", lambda architecture: forgetful)
    with pytest.raises(Mismatch, match="logit"):
        made(repository(kind), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_quantized_is_exact_as_served(repository: Any, tmp_path: Path) -> None:
    found = figures(made(repository("llama 3.1"), tmp_path, quantization="float32"))
    assert found["noise of the logits as served, float32"] < 1e-4
    assert found["greedy tokens equal before the first other"] == 32


def test_the_card_says_what_the_repository_does(repository: Any, tmp_path: Path) -> None:
    card = made(repository("llama"), tmp_path, context_tokens=100)
    assert (card.task, card.family, card.license, card.context_length_tokens) == (
        *("generation", "hub", "apache-2.0"),
        100,
    )
    assert card.generation is not None
    assert card.generation.stop_tokens == ("</s>", "<|im_end|>")
    assert card.generation.bos_token == "<s>"  # noqa: S105 - a token of text
    assert card.generation.variables == {"bos_token": "<s>", "eos_token": "</s>"}
    assert card.origin is not None
    assert card.origin.repository == "llama"


def test_a_conversation_has_the_ids_that_the_original_tokenizer_gives(repository: Any, tmp_path: Path) -> None:
    import transformers

    card = made(repository("llama"), tmp_path)
    tokenizer = load_tokenizer(card)
    assert card.generation is not None
    template = ChatTemplate(CHAT_ML, tokenizer.special_tokens, card.generation.variables)
    messages = [{"role": "user", "content": "Where's the  ferry?\n"}, {"role": "assistant", "content": "Ñandú 🙂"}]
    theirs = transformers.AutoTokenizer.from_pretrained(repository("llama"))
    wanted = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert tokenizer.encode_with_specials(template.render(messages)) == wanted


@STEP
@pytest.mark.parametrize("kind", ["mistral with a window", "gemma2"])
def test_what_the_serving_engine_forgets_is_refused(repository: Any, tmp_path: Path, kind: str) -> None:
    with pytest.raises(Mismatch, match="noise of the logits as served"):
        made(repository(kind), tmp_path, open_probe=open_loop)
    assert list(tmp_path.iterdir()) == []


@STEP
def test_a_window_is_not_left_to_an_engine_that_forgets_it(
    repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = made(repository("mistral with a window"), tmp_path)
    assert engine_for(card, 1, 1)[0].kind == "step"
    monkeypatch.setitem(sys.modules, support.CORE, None)  # as where nothing was compiled
    with pytest.raises(ValueError, match="for 48 tokens only"):
        engine_for(card, 1, 1)


def test_a_page_that_takes_one_tensor_for_another_is_refused_with_the_figure(
    repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target, name in (("linear_0", "mlp.up_proj"), ("linear_0_noact", "mlp.gate_proj")):
        monkeypatch.setitem(llama.FEED_FORWARD, target, name)  # type: ignore[arg-type]
    with pytest.raises(Mismatch, match=r"the largest difference of a float32 logit is \d") as refused:
        made(repository("llama"), tmp_path)
    assert refused.value.found > 0.01
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_damaged_on_the_way_to_the_engine_are_refused(repository: Any, tmp_path: Path) -> None:
    class Noisy:
        def logits(self, ids: Any) -> Any:
            return np.full((len(ids), 320), np.nan, np.float32)

        def greedy(self, ids: Any, count: int) -> list[int]:
            return [0] * count

    with pytest.raises(Mismatch, match="as served"):
        made(repository("llama"), tmp_path, open_probe=lambda folder: nullcontext(Noisy()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "Positions are scaled by 'dynamic'; computed here: linear, llama3, yarn, longrope",
        ),
        ({"quantization_config": {"quant_method": "awq"}}, "quantized already"),
        ({"architectures": ["MambaForCausalLM"]}, "is a MambaForCausalLM; known here"),
        ({"hidden_act": "xielu"}, "hidden_act is 'xielu'; known here: relu"),
        ({"num_key_value_heads": 4}, r"k_proj\.weight have the shape \(32, 64\); config\.json says \(64, 64\)"),
        ({"num_hidden_layers": 1}, r"9 weights that a model of its kind has not: model\.layers\.1\."),
        ({"hidden_size": "many"}, "hidden_size is 'many', and must be a whole number"),
    ],
)
def test_what_cannot_be_computed_is_refused(tmp_path: Path, config: Any, message: str) -> None:
    source = write(tmp_path / "hub")
    change(source / "config.json", **config)
    with pytest.raises(CannotConvert, match=message):
        made(source, tmp_path / "models")
    assert not (tmp_path / "models").exists() or list((tmp_path / "models").iterdir()) == []


def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    """What transformers puts in their place are random numbers, which convert as well as any."""
    from safetensors.torch import load_file, save_file

    source = write(tmp_path / "hub")
    weights = load_file(source / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CannotConvert, match=r"The repository lacks weights: model\.layers\.1\.mlp\.up_proj\.weight\."):
        made(source, tmp_path / "models")


def test_a_model_that_nothing_ends_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "hub", template=None)
    for file in ("config.json", "generation_config.json"):
        change(source / file, eos_token_id=None)
    change(source / "tokenizer_config.json", eos_token=None)
    with pytest.raises(CannotConvert, match="no token that ends a completion"):
        made(source, tmp_path / "models")


def test_tokens_beyond_the_embeddings_are_left_out(tmp_path: Path) -> None:
    import tokenizers

    source = write(tmp_path / "hub")
    model = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    model.add_tokens([f"<new{i}>" for i in range(9)])
    model.save(str(source / "tokenizer.json"))
    card = made(source, tmp_path / "models")
    assert load_tokenizer(card).vocab_size <= 320
