"""Pulling from a hub, by the hub's own client: pinned, resumed, offline, refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils import close_session, disable_progress_bars

from models.convert.hub import CannotFetch, download
from models.convert.source import Source, SourceError
from tests.convert.hub import TOKEN, Hub, open_hub

ID = "makers/tiny"
WEIGHTS = bytes(range(256)) * 200
README = b"---\nlicense: apache-2.0\nlanguage: en\n---\n# Tiny\n"
FILES = {"config.json": b'{"architectures": ["LlamaForCausalLM"]}', "README.md": README, "model.safetensors": WEIGHTS}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    disable_progress_bars()
    with open_hub() as hub:
        hub.add(ID, FILES)
        yield hub
        close_session()


@pytest.fixture
def pull(hub: Hub, tmp_path: Path) -> Any:
    def pull(repository: str = ID, revision: str | None = None, **options: Any) -> Source:
        return download(repository, revision, endpoint=hub.url, cache=tmp_path, **options)

    return pull


def test_only_what_a_conversion_needs_is_downloaded(hub: Hub, pull: Any) -> None:
    large = {"onnx/model.onnx": WEIGHTS, "model.fp16.safetensors": WEIGHTS, "pytorch_model.bin": WEIGHTS, "a.py": b"1"}
    sha = hub.add(ID, {**FILES, **large, "1_Pooling/config.json": b"{}"})
    source = pull()
    present = sorted(f.relative_to(source.folder).as_posix() for f in source.folder.rglob("*") if f.is_file())
    assert present == ["1_Pooling/config.json", "README.md", "config.json", "model.safetensors"]
    assert (source.repository, source.revision, source.license) == (ID, sha, "apache-2.0")
    assert source.path("model.safetensors").read_bytes() == WEIGHTS


def test_pickled_weights_are_taken_only_where_there_are_no_others(hub: Hub, pull: Any) -> None:
    hub.add(ID, {"config.json": b"{}", "pytorch_model.bin": WEIGHTS})
    assert pull().has("pytorch_model.bin")


def test_a_download_that_was_cut_off_goes_on_where_it_stopped(hub: Hub, pull: Any) -> None:
    weights = WEIGHTS * 240
    hub.add(ID, {**FILES, "model.safetensors": weights})
    hub.cuts = [11 << 20]  # the client keeps what it has in steps of 10 MiB
    assert pull().path("model.safetensors").read_bytes() == weights
    assert f"bytes={10 << 20}-" in hub.asked("GET", "")


def test_a_second_pull_downloads_nothing_again(hub: Hub, pull: Any) -> None:
    pull()
    hub.requests.clear()
    pull()
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path or "/storage/" in path]


def test_a_revision_is_pinned(hub: Hub, pull: Any) -> None:
    old = hub.repositories[ID].refs["main"]
    new = hub.add(ID, {**FILES, "README.md": b"newer"}, "main", "v2")
    assert pull(revision=old).license == "apache-2.0"
    assert pull().revision == pull(revision="v2").revision == new
    assert pull(revision=old).revision == old


def test_offline_asks_nobody_and_gives_what_is_there(hub: Hub, pull: Any) -> None:
    pull()
    hub.requests.clear()
    assert pull(offline=True).path("model.safetensors").read_bytes() == WEIGHTS
    assert hub.requests == []


def test_offline_and_not_there_is_said(hub: Hub, pull: Any) -> None:
    with pytest.raises(CannotFetch, match="the hub was not asked"):
        pull(offline=True)


def test_a_hub_that_is_not_there_is_said(pull: Any, tmp_path: Path) -> None:
    with pytest.raises(CannotFetch, match="The hub does not give makers/tiny"):
        download(ID, endpoint="http://127.0.0.1:9", cache=tmp_path)


def test_a_repository_that_is_not_there_is_said(pull: Any) -> None:
    with pytest.raises(CannotFetch, match="There is no repository makers/none, or it is private"):
        pull("makers/none")


def test_a_revision_that_is_not_there_is_said(pull: Any) -> None:
    with pytest.raises(CannotFetch, match="no revision 'v9'"):
        pull(revision="v9")


def test_a_name_that_is_none_is_said(pull: Any) -> None:
    with pytest.raises(CannotFetch, match="no repository id"):
        pull("../../etc/passwd")


def test_a_gated_repository_wants_a_token(hub: Hub, pull: Any) -> None:
    hub.repositories[ID].gated = True
    with pytest.raises(CannotFetch, match="gated: accept its terms"):
        pull()
    assert pull(token=TOKEN).path("model.safetensors").read_bytes() == WEIGHTS


def test_a_repository_without_a_configuration_is_no_model(hub: Hub, pull: Any) -> None:
    hub.add("makers/data", {"README.md": b"rows", "config.json.txt": b""})
    with pytest.raises(SourceError, match=r"no config\.json"):
        pull("makers/data")
