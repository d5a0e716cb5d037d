"""``hearth pull``, ``convert`` and ``rm``, as users type them: whole runs, refusals, no files left behind."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from models.convert import table
from models.registry import read_card
from server.cli import main, models
from server.engines.step.support import core
from tests.convert import bare_encoders
from tests.convert.hub import TOKEN, Hub, open_hub
from tests.convert.weight_files import write_llama, write_llama_gguf
from tests.server_process import serving

ID = "makers/tiny"
WITH_TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="converting needs torch")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with open_hub() as hub:
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of models with one that may be removed."""
    model = tmp_path / "models" / "mine"
    model.mkdir(parents=True)
    (model / "model.toml").write_text("damaged")
    return tmp_path / "models"


def hearth(hub: Hub, home: Path, *arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own, with the hub and its downloads where the test wants them."""
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("HF_TOKEN", None)
    command = [sys.executable, "-m", "server", *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False, input=typed)


def structure(folder: Path) -> tuple[str, ...]:
    """For random weights, which no text is likely to."""
    return ("--check", "structure", "--models-dir", str(folder / "models"))


def test_a_model_that_is_there_is_left_where_that_is_asked_for(hub: Hub, folder: Path, tmp_path: Path) -> None:
    where = ("--models-dir", str(folder))
    left = hearth(hub, tmp_path, "pull", "owner/mine", "--if-missing", *where)
    assert (left.returncode, "mine is there already" in left.stderr) == (0, True), left.stderr
    assert hub.requests == []
    assert hearth(hub, tmp_path, "pull", "owner/mine", *where).returncode == 1


@WITH_TORCH
def test_a_model_is_pulled_converted_served_and_answers(hub: Hub, tmp_path: Path) -> None:
    from tests.convert.decoder_repositories import write

    sha = hub.add_folder(ID, write(tmp_path / "hub", "llama 3.1"))
    hub.repositories[ID].gated = True
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    where = ("--models-dir", str(tmp_path / "models"), "--json")
    done = hearth(hub, tmp_path, "pull", ID, "--token-file", str(tmp_path / "token"), *where, "--check", "original")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["id"], said["license"], said["origin"]) == ("tiny", "apache-2.0", {"repository": ID, "revision": sha})
    assert said["self_check"][0]["value"] < 1e-3

    hub.requests.clear()
    again = hearth(
        hub,
        tmp_path,
        "pull",
        ID,
        "--offline",
        "--name",
        "second",
        "--quantization",
        "float32",
        *where,
        "--check",
        "structure",
    )
    assert again.returncode == 0, again.stderr
    assert hub.requests == []

    with serving("--log-level", "error", models_dir=tmp_path / "models") as served:
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
            for model in ("tiny", "second"):
                talk = [{"role": "user", "content": "Where is the ferry?"}]
                options: dict[str, Any] = {"model": model, "messages": talk, "max_tokens": 12, "temperature": 0}
                whole = client.chat.completions.create(**options)
                parts = client.chat.completions.create(**options, stream=True)
                text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
                assert whole.choices[0].message.content == text
                assert whole.usage is not None
                assert whole.usage.completion_tokens >= 1
        assert hearth(hub, tmp_path, "rm", "tiny", *where).returncode == 0
    assert not (tmp_path / "models" / "tiny").exists()


@WITH_TORCH
@pytest.mark.skipif(core() is None, reason="the step engine, which enforces calls, is not compiled here")
def test_a_converted_model_calls_a_tool(hub: Hub, tmp_path: Path) -> None:
    from tests.convert.decoder_repositories import write

    source = write(tmp_path / "hub")
    done = hearth(hub, tmp_path, "convert", str(source), "--name", "tiny", *structure(tmp_path))
    assert done.returncode == 0, done.stderr
    # Random weights would fill arguments without end: these can only be empty.
    nothing = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    tools: Any = [{"type": "function", "function": {"name": "now", "strict": True, "parameters": nothing}}]
    with (
        serving("--log-level", "error", models_dir=tmp_path / "models") as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client,
    ):
        talk: Any = [{"role": "user", "content": "What time is it?"}]
        answer = client.chat.completions.create(model="tiny", messages=talk, tools=tools, tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or ()
    assert (call.type, call.function.name, call.function.arguments) == ("function", "now", "{}")  # type: ignore[union-attr]


@WITH_TORCH
def test_a_model_without_a_template_completes_and_does_not_chat(hub: Hub, tmp_path: Path) -> None:
    from tests.convert.decoder_repositories import write

    source = write(tmp_path / "hub", "gpt2", template=None)
    done = hearth(hub, tmp_path, "convert", str(source), "--name", "gpt", *structure(tmp_path))
    assert done.returncode == 0, done.stderr
    with (
        serving("--log-level", "error", models_dir=tmp_path / "models") as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client,
    ):
        assert client.completions.create(model="gpt", prompt="The harbour", max_tokens=5).usage is not None
        with pytest.raises(openai.BadRequestError, match="no chat template"):
            client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "Hi"}])
        tools: Any = [{"type": "function", "function": {"name": "now"}}]
        with pytest.raises(openai.BadRequestError, match="how 'gpt' calls tools is not known") as refused:
            client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "Hi"}], tools=tools)
        assert refused.value.param == "tools"


def test_labels_that_a_repository_does_not_name_are_named(hub: Hub, tmp_path: Path) -> None:
    bare_encoders.write(tmp_path / "hub", "roberta", labels=[f"LABEL_{i}" for i in range(3)])
    hub.add_folder(ID, tmp_path / "hub")
    where = ("--models-dir", str(tmp_path / "models"))
    plain = hearth(hub, tmp_path, "pull", ID, "--name", "plain", *where)
    assert "--labels gives them some" in plain.stdout, plain.stderr
    named = hearth(hub, tmp_path, "pull", ID, "--name", "moods", "--labels", "negative, neutral,positive", *where)
    assert named.returncode == 0, named.stderr
    assert "--labels" not in named.stdout
    (head,) = read_card(tmp_path / "models" / "moods").heads
    assert (head.name, head.labels) == ("sentiment", ("negative", "neutral", "positive"))


@pytest.mark.parametrize("labels", ["a,b,a", "a,,b", "", ","])
def test_labels_that_are_none_are_wrong_usage(labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["pull", ID, "--labels", labels])
    assert "is not a list of different labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pull", "makers/none"), "There is no repository makers/none"),
        (("pull", ID, "--revision", "v9"), "no revision 'v9'"),
        (("pull", ID, "--name", "../evil"), "'../evil' is no name"),
        (("pull", ID, "--name", "mine"), "is there already"),
        (("pull", ID, "--token-file", "/nowhere"), "No such file"),
        (("pull", ID), "is a MambaForCausalLM; known here"),
    ],
)
def test_what_cannot_be_pulled_is_said_before_anything_is_made(
    hub: Hub, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    hub.add(ID, {"config.json": b'{"architectures": ["MambaForCausalLM"]}', "model.safetensors": b""})
    done = hearth(hub, folder.parent, *arguments, "--models-dir", str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [entry.name for entry in folder.iterdir()] == ["mine"]


def test_without_torch_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(table, "TORCH", ("no_such_package",))
    for architecture in ("BertModel", "LlamaForCausalLM", "MarianMTModel"):
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
        asked = ["--check", "original", "--models-dir", str(tmp_path)]
        assert main(["convert", str(tmp_path), "--name", "a", *asked]) == 1
        assert re.search("no_such_package; to install: pip install .*transformers>=5", capsys.readouterr().err)


def test_a_model_is_removed_also_a_damaged_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rm", "mine", "--models-dir", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "mine"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["other", ".", "..", "../outside", "mine/../../outside", "/etc", "", "linked"])
def test_only_a_model_of_the_folder_is_removed(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "model.toml").write_text("")
    (folder / "linked").symlink_to(outside)
    assert main(["rm", name, "--models-dir", str(folder)]) == 1
    assert (outside / "model.toml").exists()
    assert (folder / "mine").exists()


def test_a_shipped_model_is_removed_by_force_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "SHIPPED_MODELS", folder)
    (folder / "mine").rename(folder / "assistant")
    assert main(["rm", "assistant", "--models-dir", str(folder)]) == 1
    assert (folder / "assistant").exists()
    assert main(["rm", "assistant", "--force", "--models-dir", str(folder)]) == 0
    assert list(folder.iterdir()) == []


def test_a_gguf_on_disk_is_converted_and_talked_to_without_torch(hub: Hub, tmp_path: Path) -> None:
    file = write_llama_gguf(tmp_path / "tiny-Q8_0.gguf", llama__context_length=64)
    where = ("--models-dir", str(tmp_path / "models"))
    done = hearth(hub, tmp_path, "convert", str(file), "--check", "structure", "--name", "tiny", *where)
    assert done.returncode == 0, done.stderr
    nobody = ("--url", "http://127.0.0.1:9")
    talked = hearth(hub, tmp_path, "run", "tiny", *where, *nobody, typed="Hi\n/new\nHi\n")
    assert (talked.returncode, talked.stderr) == (0, "loading tiny ...\n")
    assert talked.stdout


def test_a_model_that_is_not_here_is_pulled_before_one_talks_to_it(hub: Hub, tmp_path: Path) -> None:
    where = ("--models-dir", str(tmp_path / "models"), "--url", "http://127.0.0.1:9")
    done = hearth(hub, tmp_path, "run", "smollm2:360m", *where)
    assert done.returncode == 1
    assert "smollm2:360m is HuggingFaceTB/SmolLM2-360M-Instruct, the newest revision (apache-2.0)" in done.stderr
    assert "There is no repository HuggingFaceTB/SmolLM2-360M-Instruct" in done.stderr


def test_random_weights_are_refused_by_the_text_they_find_unlikely(hub: Hub, tmp_path: Path) -> None:
    hub.add_folder(ID, write_llama(tmp_path / "hub"))
    done = hearth(hub, tmp_path, "pull", ID, "--models-dir", str(tmp_path / "models"))
    assert done.returncode == 1
    assert "the perplexity of a plain text is" in done.stderr
    assert list((tmp_path / "models").iterdir()) == []
