"""Loading, unloading and changing models of a real server, on the shipped ones."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.cli.inspect import list_models
from tests.poison import WEIGHTS, copied, damage, fill, state
from tests.server_process import LIMIT_S, serving

GAMMA = "encoder/layer_0/ffn/layer_norm/gamma"


def sentiment(client: httpx.Client, model: str = "sentiment") -> Any:
    return client.post("/v1/sentiment", json={"model": model, "input": "I love it."})


def told(client: httpx.Client, name: str) -> Any:
    return client.get(f"/v1/models/{name}").json()


def wait_for(client: httpx.Client, name: str, wanted: str) -> None:
    while told(client, name)["state"] != wanted:
        pass


def test_models_load_on_first_use_under_any_name_and_leave_when_idle(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--models", "sentiment,embed", "--load", "use", "--idle-unload-s", "0.1", "--aliases", "mood=sentiment"]
    with serving(*flags) as served, served.client() as client:
        assert served.children() == []
        assert client.get("/ready").status_code == 200
        assert told(client, "mood") == {**told(client, "sentiment"), "id": "mood"}
        answer = sentiment(client, "mood")
        assert (answer.status_code, answer.json()["model"]) == (200, "mood")
        assert told(client, "embed")["state"] == "unloaded"
        wait_for(client, "sentiment", "unloaded")
        assert served.children() == []
        assert sentiment(client).status_code == 200
        assert list_models(False, served.url, "") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["id", "embed", "mood", "sentiment"]
    assert "negative neutral positive" in lines[3]
    assert "ct2-encoder" in lines[3]


def test_within_a_budget_models_take_turns_and_one_that_never_fits_is_refused_by_name() -> None:
    with serving("--models", "sentiment,embed,translate", "--memory-mb", "100") as served, served.client() as client:
        assert client.get("/ready").status_code == 200
        ask = {"model": "embed", "input": "I love it."}
        for _ in range(2):
            assert client.post("/v1/embeddings", json=ask).status_code == 200
            assert told(client, "sentiment")["state"] == "unloaded"
            assert sentiment(client).status_code == 200
            assert told(client, "embed")["state"] == "unloaded"
    with serving("--models", "sentiment,translate", "--memory-mb", "45") as served, served.client() as client:
        refused = sentiment(client)
        assert refused.status_code == 503
        assert "more memory than memory_mb allows" in refused.json()["error"]["message"]
        served.wait_for("memory_mb is 45")
        assert told(client, "translate")["state"] == "ready"


def test_by_hand_a_model_is_unloaded_and_loaded_as_with_llama_cpps_router() -> None:
    with serving("--models", "sentiment") as served, served.client() as client:
        assert client.post("/models/unload", json={"model": "sentiment"}).json() == {"success": True}
        wait_for(client, "sentiment", "unloaded")
        assert told(client, "sentiment")["memory_bytes"] == 0
        assert client.post("/models/load", json={"model": "sentiment"}).json() == {"success": True}
        wait_for(client, "sentiment", "ready")
        assert told(client, "sentiment")["memory_bytes"] > 20_000_000
        assert client.post("/models/load", json={"model": "none"}).status_code == 404


def test_a_model_with_work_is_not_unloaded_and_that_is_a_conflict() -> None:
    with serving("--models", "sentiment") as served, served.client() as client, ThreadPoolExecutor(1) as others:
        with served.frozen("sentiment"):
            asked = others.submit(sentiment, client)
            while 'num_requests_running{model="sentiment"} 1.0' not in client.get("/metrics").text:
                pass
            refused = client.post("/models/unload", json={"model": "sentiment"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert asked.result().status_code == 200
        assert client.post("/models/unload", json={"model": "sentiment"}).status_code == 200


def test_a_folder_that_changes_is_reloaded_and_one_that_vanishes_is_served_no_longer(tmp_path: Path) -> None:
    folder = copied("sentiment", tmp_path)
    with serving("--aliases", "mood=sentiment", models_dir=tmp_path) as served, served.client() as client:
        first = served.engine("sentiment")
        manifest = folder / "model.toml"
        text = manifest.read_text("utf-8")
        damage(folder, "MODEL_CARD.md")
        manifest.write_text(text.replace("English sentiment", "Another sentiment"), "utf-8")
        assert told(client, "sentiment")["summary"].startswith("English"), "a damaged folder takes nothing away"
        assert sentiment(client).status_code == 200
        state(folder, "MODEL_CARD.md")
        assert told(client, "sentiment")["summary"].startswith("Another")
        assert sentiment(client).status_code == 200
        assert served.engine("sentiment") != first
        folder.rename(tmp_path.parent / "gone")
        assert client.get("/v1/models").json()["data"] == []
        assert [sentiment(client, name).status_code for name in ("sentiment", "mood")] == [404, 404]
        while served.children():
            pass


def test_a_model_in_the_users_data_folder_is_served_beside_the_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    own = tmp_path / "hearth" / "models" / "mine"
    shutil.copytree(WEIGHTS / "embed", own)
    manifest = own / "model.toml"
    manifest.write_text(manifest.read_text().replace('id = "embed"', 'id = "mine"'))
    with serving("--load", "use") as served, served.client() as client:
        assert {"mine", "embed", "assistant"} <= {model["id"] for model in client.get("/v1/models").json()["data"]}
        assert client.post("/v1/embeddings", json={"model": "mine", "input": "hello"}).status_code == 200


def test_a_model_whose_weights_are_no_numbers_is_refused_by_name_and_the_others_are_served(tmp_path: Path) -> None:
    fill(copied("sentiment", tmp_path), GAMMA, float("nan"))
    copied("embed", tmp_path)
    with serving(models_dir=tmp_path) as served, served.client() as client:
        refused = sentiment(client)
        assert refused.status_code == 503
        ready = client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["models"]["sentiment"]["state"] == "failed"
        served.wait_for(rf"sentiment.*model\.bin.*{GAMMA}")
        for told in (refused.json()["error"]["message"], ready.json()["models"]["sentiment"]["reason"]):
            assert "files are damaged, or not what its manifest says" in told
            assert GAMMA not in ready.text
            assert str(tmp_path) not in ready.text
        assert client.post("/v1/embeddings", json={"model": "embed", "input": "hello"}).status_code == 200


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json", "sentiment.npz", "vocabulary.json"])
def test_whichever_file_is_damaged_is_named(tmp_path: Path, name: str) -> None:
    damage(copied("sentiment", tmp_path), name)
    with serving(models_dir=tmp_path) as served, served.client() as client:
        told = sentiment(client).json()["error"]["message"]
        assert "files are damaged, or not what its manifest says" in told
        assert name not in told
        served.wait_for(f"'{name}' is damaged")


@pytest.mark.parametrize(
    ("aliases", "says"),
    [("gpt-4o-mini=assitant", "no model 'assitant'"), ("embed=assistant", "the id of a model"), ("x=embed", "'embed'")],
)
def test_an_alias_that_leads_nowhere_or_hides_a_model_is_an_error_at_the_start(aliases: str, says: str) -> None:
    flags = ["--aliases", aliases, "--models", "assistant"]
    done = subprocess.run(
        [sys.executable, "-m", "server", "serve", *flags], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr
