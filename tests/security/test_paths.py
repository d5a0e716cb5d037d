"""Names of models and routes that look like paths: the server reads no file outside a model's folder."""

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.cards import HeadSpec
from models.registry import ManifestError, find_models, read_card, verify
from server.tasks.encoding import Head
from tests.api.conftest import WEIGHTS

pytestmark = pytest.mark.anyio

TRICKS = [
    "../assistant", "..%2fassistant", "%2e%2e%2fassistant", "%2e%2e/%2e%2e/etc/passwd", "..\\assistant",
    "/etc/passwd", "%2fetc%2fpasswd", "assistant%00", "assistant%00.txt", "assistant/", "assistant/../embed", ".", "..",
    "~root", "C:\\x", "file:%2f%2f%2fetc%2fpasswd", "assistant%0d%0aset-cookie:a=b", "%252e%252e%252fassistant",
    "ａssistant", "assistant ", "${jndi:ldap:%2f%2fa}", "{{7*7}}", "*", "'", '"', "<script>", "a" * 5000, "ASSISTANT",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
async def test_a_trick_in_a_models_name_finds_nothing(served: Any, trick: str) -> None:
    response = await served.http.get(f"/v1/models/{trick}")
    if response.request.url.path in ("/v1/models/assistant", "/v1/models/embed"):
        assert response.status_code == 200, "the client itself made a plain path of it"
        return
    if response.request.url.path in ("/v1/models", "/v1/models/", "/v1/", "/v1"):
        assert response.status_code in (200, 404)
        return
    assert response.status_code == 404
    assert response.json()["error"]["code"] in ("model_not_found", "unknown_url")
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("trick", [*TRICKS, "assistant\0", "assistant\n", "a\r\nb", "\u202eassistant"])
async def test_a_trick_in_a_bodys_model_is_a_404(served: Any, trick: str) -> None:
    response = await served.post("/v1/completions", model=trick, prompt="a")
    assert response.status_code == (404 if len(trick) <= 200 else 400)
    assert not served.engines["assistant"].began.is_set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder that is whole, to be damaged."""
    made = tmp_path / "models" / "sentiment"
    made.mkdir(parents=True)
    for file in (WEIGHTS / "sentiment").iterdir():
        (made / file.name).write_bytes(file.read_bytes())
    return made


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json"])
def test_a_link_out_of_a_model_folder_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes((folder / name).read_bytes())
    (folder / name).unlink()
    (folder / name).symlink_to(outside)
    with pytest.raises(ManifestError, match="link out of the folder"):
        read_card(folder)


def test_a_linked_folder_in_a_model_folder_is_refused(folder: Path) -> None:
    (folder / "more").symlink_to("/etc")
    with pytest.raises(ManifestError, match="'more' is not listed"):
        verify(read_card(folder))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\\\b", "C:x", "./a"])
def test_a_manifest_names_files_inside_its_folder_only(folder: Path, name: str) -> None:
    manifest = folder / "model.toml"
    manifest.write_text(manifest.read_text().replace("[files]", f'[files]\n"{name}" = "{"0" * 64}"'))
    with pytest.raises(ManifestError, match="plain path inside the folder"):
        read_card(folder)


@pytest.mark.parametrize("identity", ["../x", "/x", "a b", "a\\nb", "a/b/c", "", "."])
def test_an_id_that_is_no_name_is_refused(folder: Path, identity: str) -> None:
    manifest = folder / "model.toml"
    text = manifest.read_text()
    before = next(line for line in text.splitlines() if line.startswith("id ="))
    manifest.write_text(text.replace(before, f'id = "{identity}"'))
    with pytest.raises(ManifestError, match="'id'"):
        find_models(folder.parent)


class Bomb:
    """Says that it was unpickled."""

    gone_off = False

    def __reduce__(self) -> Any:
        return (setattr, (Bomb, "gone_off", True))


def weights(**arrays: Any) -> bytes:
    """An npz file; objects in it are pickled."""
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


def archive(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        weights(weight=np.array([Bomb()], dtype=object), bias=np.zeros(2)),
        pickle.dumps(Bomb()),
        archive("weight.npy", pickle.dumps(Bomb())),
        archive("../../weight.npy", b"\x93NUMPY"),
        b"",
    ],
    ids=["an array of objects", "a pickle", "a pickle in an archive", "a path in an archive", "nothing"],
)
def test_a_pickle_in_a_model_folder_is_never_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises((ValueError, KeyError, OSError, EOFError)):
        Head(HeadSpec("x", ("a", "b"), "softmax", "mean", "head.npz"), tmp_path)
    assert not Bomb.gone_off


def test_nothing_in_the_server_allows_pickles_from_files() -> None:
    root = Path(__file__).parents[2]
    sources = [
        *(root / "server").rglob("*.py"),
        *(root / "models").glob("*.py"),
        *(root / "models/families").glob("*.py"),
    ]
    for source in sources:
        text = source.read_text("utf-8")
        assert "allow_pickle=True" not in text, source
        assert "torch.load" not in text, source
        loads = text.count("np.load(")
        assert text.count("allow_pickle=False") == loads, source
        if "pickle.load" in text:
            assert source.name == "wire.py", "only between our own processes"


def test_a_file_that_was_changed_is_named(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"{}")
    assert hashlib.sha256(b"{}").hexdigest() not in (folder / "model.toml").read_text()
    with pytest.raises(ManifestError, match=r"config\.json"):
        verify(read_card(folder))
