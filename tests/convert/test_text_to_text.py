"""T5, Flan-T5 and mT5 from a hub: the served answer is the original's; the server refuses unsupported options by
name.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import openai

from models.convert import CannotConvert, Mismatch, Request, convert, read_source, t5
from models.convert.architectures.bart import Seq2Seq
from models.convert.architectures.t5 import T5
from models.convert.stated import Stated
from models.registry import read_card
from tests.convert.decoder_repositories import change
from tests.convert.hub import Hub, open_hub
from tests.convert.test_commands import hearth
from tests.convert.text_repositories import EXTRA_ROWS, KINDS, write
from tests.server_process import serving

ID = "makers/flan-tiny"
TEXT = "translate English to German: The harbour was quiet."
OTHER = "Why do we sleep?"
TOKENS = 12


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with open_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def world(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A Flan-T5 that was pulled from a hub as float32, so that the text of the original can be asked for."""
    home = tmp_path_factory.mktemp("home")
    hub.add_folder(ID, write(home / "hub"))
    where = ("--models-dir", str(home / "models"), "--quantization", "float32")
    done = hearth(hub, home, "pull", ID, *where)
    assert done.returncode == 0, done.stderr
    with (
        serving("--log-level", "error", models_dir=home / "models") as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield SimpleNamespace(client=client, url=served.url, hub=hub, home=home, **original(home / "hub"))


def original(folder: Path) -> dict[str, Any]:
    """The model and the tokenizer as transformers has them."""
    import torch
    import transformers

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    return {"model": model, "tokenizer": transformers.AutoTokenizer.from_pretrained(folder)}


def greedy(world: SimpleNamespace, text: str, most: int = TOKENS) -> tuple[str, list[float]]:
    """The original's likeliest answer to a text, and the log-probability of each of its tokens."""
    import torch

    row = world.tokenizer(text, return_tensors="pt").input_ids
    with torch.inference_mode():
        banned = list(range(len(world.tokenizer), len(world.tokenizer) + EXTRA_ROWS))
        made = world.model.generate(row, do_sample=False, max_new_tokens=most, suppress_tokens=banned)
        logits = world.model(input_ids=row, decoder_input_ids=made[:, :-1]).logits[0]
        logits[:, banned] = -torch.inf
        logprobs = logits.log_softmax(-1).gather(1, made[0, 1:, None])[:, 0]
    return world.tokenizer.decode(made[0], skip_special_tokens=True), logprobs.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fast", [True, False], ids=["tokenizer.json", "spiece.model"])
def test_each_kind_computes_what_the_original_does(tmp_path: Path, kind: str, fast: bool) -> None:
    source = write(tmp_path / "hub", kind, fast=fast)
    card = read_card(convert(read_source(source, ID), tmp_path / "models", "mine", Request(check="original")))
    assert (card.task, card.family, card.license, card.context_length_tokens) == ("generation", "t5", "apache-2.0", 96)
    assert card.generation is not None
    assert (card.generation.eos_token, card.generation.stop_tokens) == ("</s>", ("</s>",))
    figures = {figure.metric: figure.value for figure in card.figures}
    assert figures["largest difference of a log-probability in float32"] < 1e-4
    assert figures["noise of the log-probabilities as served, int8_float32"] < 0.1


def test_a_last_layer_that_is_scaled_wrongly_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled_once_more(stated: Stated) -> Seq2Seq:
        return replace(T5.facts(stated), output_scale=0.5)

    monkeypatch.setattr(t5, "T5", replace(T5, facts=scaled_once_more))
    with pytest.raises(Mismatch, match="log-probability in float32"):
        convert(read_source(write(tmp_path / "hub")), tmp_path / "models", "mine", Request(check="original"))
    assert not (tmp_path / "models" / "mine").exists()


def test_a_tokenizer_that_reads_other_rows_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "hub")
    kept = json.loads((source / "tokenizer.json").read_text())["pre_tokenizer"]
    cut = {"type": "Split", "pattern": {"String": "e"}, "behavior": "Isolated", "invert": False}
    both = {"type": "Sequence", "pretokenizers": [kept, cut]}
    change(source / "tokenizer.json", pre_tokenizer=both)  # transformers has its own for T5
    with pytest.raises(CannotConvert, match="the original reads"):
        convert(read_source(source), tmp_path / "models", "mine", Request(check="original"))


def test_a_context_may_be_longer_than_the_repository_states(tmp_path: Path) -> None:
    folder = convert(read_source(write(tmp_path / "hub")), tmp_path / "models", "mine", Request(context_tokens=700))
    assert read_card(folder).context_length_tokens == 700


def test_a_completion_is_the_answer_of_the_original(world: SimpleNamespace) -> None:
    for text in (TEXT, OTHER):
        made = world.client.completions.create(
            model="flan-tiny", prompt=text, max_tokens=TOKENS, temperature=0, logprobs=0
        )
        wanted, logprobs = greedy(world, text)
        assert made.choices[0].text == wanted
        assert np.allclose(made.choices[0].logprobs.token_logprobs, logprobs[: made.usage.completion_tokens], atol=1e-3)
        assert made.usage.prompt_tokens == len(world.tokenizer(text).input_ids)


def test_a_batch_of_texts_of_any_length_is_answered_as_each_alone(world: SimpleNamespace) -> None:
    texts = [OTHER, TEXT, "summarize: " + TEXT, "a"]
    made = world.client.completions.create(model="flan-tiny", prompt=texts, max_tokens=TOKENS, temperature=0)
    assert [choice.text for choice in made.choices] == [greedy(world, text)[0] for text in texts]


def test_a_stream_is_the_same_text_in_pieces(world: SimpleNamespace) -> None:
    parts = list(
        world.client.completions.create(model="flan-tiny", prompt=TEXT, max_tokens=TOKENS, temperature=0, stream=True)
    )
    assert len(parts) > 3
    assert "".join(part.choices[0].text for part in parts) == greedy(world, TEXT)[0]


def test_a_chat_is_its_system_messages_and_its_last_user_message(world: SimpleNamespace) -> None:
    def answer(*messages: tuple[str, str]) -> str:
        talk: Any = [{"role": role, "content": content} for role, content in messages]
        made = world.client.chat.completions.create(model="flan-tiny", messages=talk, max_tokens=TOKENS, temperature=0)
        return made.choices[0].message.content

    assert answer(("user", TEXT)) == greedy(world, TEXT)[0]
    assert answer(("user", OTHER), ("assistant", "Nobody knows."), ("user", TEXT)) == greedy(world, TEXT)[0]
    assert answer(("system", "Be brief."), ("user", TEXT)) == greedy(world, f"Be brief.\n{TEXT}")[0]
    with pytest.raises(openai.BadRequestError, match="the last message must be of the user"):
        answer(("user", TEXT), ("assistant", "Der Hafen"))


def test_what_a_user_types_is_never_a_control_token(world: SimpleNamespace) -> None:
    for text in ("The end </s> is near", "<extra_id_0> walks", "<pad>"):
        made = world.client.completions.create(model="flan-tiny", prompt=text, max_tokens=1, temperature=0)
        talk: Any = [{"role": "user", "content": text}]
        chat = world.client.chat.completions.create(model="flan-tiny", messages=talk, max_tokens=1, temperature=0)
        assert made.usage.prompt_tokens > len(world.tokenizer(text).input_ids)
        assert chat.usage.prompt_tokens == made.usage.prompt_tokens


def test_the_sampling_that_it_honours(world: SimpleNamespace) -> None:
    made = world.client.completions.create(
        model="flan-tiny", prompt=TEXT, max_tokens=TOKENS, n=3, top_p=0.9, temperature=1.5, extra_body={"top_k": 20}
    )
    assert len({choice.text for choice in made.choices}) > 1
    wanted = greedy(world, TEXT)[0]
    cut = world.client.completions.create(
        model="flan-tiny", prompt=TEXT, max_tokens=TOKENS, temperature=0, stop=[wanted[3:5]]
    )
    assert (cut.choices[0].text, cut.choices[0].finish_reason) == (wanted[:3], "stop")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"seed": 1}, "seed"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"extra_body": {"repetition_penalty": 1.2}}, "repetition_penalty"),
        ({"logprobs": 2}, "top_logprobs"),
        ({"echo": True, "logprobs": 0}, "echo"),
        ({"extra_body": {"min_tokens": 5}, "max_tokens": 4}, "min_tokens"),
        ({"prompt": "a long way " * 60}, "prompt"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(world: SimpleNamespace, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        world.client.completions.create(**{"model": "flan-tiny", "prompt": TEXT, "max_tokens": 4, **fields})
    assert refused.value.param == param


def test_a_limit_over_what_it_ever_makes_is_kept_by_what_it_makes(world: SimpleNamespace) -> None:
    made = world.client.completions.create(model="flan-tiny", prompt=TEXT, max_tokens=5000, temperature=0)
    assert made.usage.completion_tokens <= 96


def test_it_calls_no_tools(world: SimpleNamespace) -> None:
    talk: Any = [{"role": "user", "content": OTHER}]
    tools: Any = [{"type": "function", "function": {"name": "now"}}]
    with pytest.raises(openai.BadRequestError) as refused:
        world.client.chat.completions.create(model="flan-tiny", messages=talk, tools=tools)
    assert refused.value.param == "tools"


def test_the_commands_say_what_it_is(world: SimpleNamespace) -> None:
    def said(*command: str) -> "subprocess.CompletedProcess[str]":
        return hearth(world.hub, world.home, *command)

    shown = said("show", "flan-tiny", "--url", world.url).stdout
    assert "generation" in shown
    assert "ct2-seq2seq" in said("list", "--url", world.url).stdout
    doctor = said("doctor", "--models-dir", str(world.home / "models")).stdout
    assert "ct2-seq2seq" in doctor
    assert "encoder-decoders are CTranslate2's own job" in doctor
