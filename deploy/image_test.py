"""Builds the image and tests it as an operator would run it: `make image-test`.

Asserts that the image serves each task, as an ordinary user, on a read-only root file system, with no capability, that
it refuses the names of web pages, and that SIGTERM ends it with exit code 0. Prints the size and the time until it is
ready. Needs Docker, or (as root) Debian's buildah. If no container can start, as inside another sandbox, the test
enters the image's file system by chroot with the same user, environment and command. BASE= names the base image; with
buildah and mmdebstrap, if no base can be pulled, `--make-base` makes a Debian base here. `--arch arm64` makes the whole
test for Arm; on another machine the kernel must run Arm programs in an emulator (Debian's qemu-user-static), which
takes long. The test uses only the standard library.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

IMAGE = "localhost/hearth:image-test"
HERE = Path(__file__).resolve().parents[1]
READY_S = 120.0
ANSWER_S = 60.0
EMULATED_TIMES = 8
"""The factor of time limits under an emulator."""
STOP_S = 60.0
QUESTIONS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "assistant",
        "max_tokens": 8,
        "messages": [{"role": "user", "content": "Hi, I need a dentist."}],
    },
    "/v1/translations": {"input": "Where is the station?", "target": "fr"},
    "/v1/sentiment": {"input": "I love this place."},
    "/v1/embeddings": {"model": "embed", "input": "a sentence"},
    "/v1/moderations": {"input": "a sentence"},
}


def run(*command: str, **options: Any) -> str:
    """Standard output of a command; a failure ends the test with the command's output."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}")
    return done.stdout.strip()


def make_base(arch: str) -> str:
    """A Debian image with Python, made by mmdebstrap; its name."""
    name = "localhost/hearth-base:image-test"
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/base.tar"
        packages = "--include=python3,python3-venv,ca-certificates"
        link = '--customize-hook=ln -s ../../bin/python3 "$1/usr/local/bin/python"'
        of = [f"--architectures={arch}"] if arch else []
        run("mmdebstrap", "--variant=minbase", *of, packages, link, "stable", archive)
        container = run("buildah", "from", *architecture(arch), "scratch")
        run("buildah", "add", "--quiet", container, archive, "/")
        run("buildah", "commit", "--quiet", container, name)
        run("buildah", "rm", container)
    return name


def architecture(arch: str) -> list[str]:
    """The option of both programs to build or run for another architecture than this machine's."""
    return [f"--platform=linux/{arch}"] if arch else []


class Docker:
    """The image in a Docker container."""

    def __init__(self, arch: str) -> None:
        self._of = architecture(arch)

    def build(self, base: list[str]) -> int:
        """Build it; its size in bytes."""
        run("docker", "build", *self._of, *base, "-t", IMAGE, str(HERE))
        return int(run("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE))

    @contextlib.contextmanager
    def started(self, port: int, command: list[str]) -> Iterator["subprocess.Popen[str]"]:
        """A running container, attached; SIGTERM to the client is passed on. No command: the image's own."""
        hardening = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges")
        entry = ("--entrypoint", command[0]) if command else ()
        of = (*self._of, "-p", f"127.0.0.1:{port}:8000")
        whole = ["docker", "run", "--rm", *of, *hardening, *entry, IMAGE, *command[1:]]
        with subprocess.Popen(whole, text=True, stdout=subprocess.PIPE) as process:
            yield process


class Buildah:
    """The image's file system, entered as its configuration says. For root on Linux only."""

    def __init__(self, arch: str) -> None:
        self._of = architecture(arch)

    def build(self, base: list[str]) -> int:
        """Build it; its size in bytes. The registries are reached with this machine's certificates and pip settings."""
        own = [path for path in ("/etc/ssl/certs", "/etc/pip.conf") if Path(path).exists()]
        mounts = [f"--volume={path}:{path}:ro" for path in own]
        isolated = ("--isolation", "chroot", "--network", "host", "--format", "docker")
        run("buildah", "build", "--layers=false", *isolated, *self._of, *mounts, *base, "-t", IMAGE, str(HERE))
        [found] = json.loads(run("buildah", "images", "--json", IMAGE))
        number, unit = re.fullmatch(r"([\d.]+) (\w+)", found["size"]).groups()  # type: ignore[union-attr]
        return int(float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])

    @contextlib.contextmanager
    def started(self, port: int, command: list[str]) -> Iterator["subprocess.Popen[str]"]:
        """A command on the image's read-only root, as the image's user. No command: the image's own."""
        config = json.loads(run("buildah", "inspect", "--type", "image", IMAGE))["Docker"]["config"]
        container = run("buildah", "from", *self._of, IMAGE)
        root = run("buildah", "mount", container)
        user = config["User"]
        enter = (
            f"mount --bind {root} {root} && mount -t proc proc {root}/proc && mount --bind /dev {root}/dev"
            f" && mount -t tmpfs tmpfs {root}/tmp && mount -o remount,ro,bind {root}"
            f" && exec chroot {root} /usr/bin/setpriv --reuid {user} --regid {user} --clear-groups"
            ' --bounding-set=-all --inh-caps=-all --no-new-privs "$@"'
        )
        environment = dict(entry.split("=", 1) for entry in config["Env"]) | {"HEARTH_PORT": str(port)}
        whole = ["unshare", "--mount", "sh", "-c", enter, "sh", *(command or config["Entrypoint"] + config["Cmd"])]
        try:
            with subprocess.Popen(whole, env=environment, cwd="/", text=True, stdout=subprocess.PIPE) as process:
                yield process
        finally:
            run("buildah", "rm", container)


def ask(
    port: int, path: str, body: dict[str, Any] | None = None, limit_s: float = ANSWER_S, host: str = "localhost"
) -> bytes:
    """The answer to a request; an HTTP error raises."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "host": host}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=limit_s) as answer:
        return bytes(answer.read())


def require_guard(port: int) -> None:
    """End the test unless the server refuses a web page's host name (DNS rebinding)."""
    try:
        ask(port, "/v1/models", host="page.example")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 403:
                return
    sys.exit("a request under the name of a web page was answered")


def wait_until_ready(process: "subprocess.Popen[str]", port: int, limit_s: float) -> float:
    """Seconds until /ready says yes."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < limit_s:
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode} before it was ready")
        with contextlib.suppress(OSError):
            ask(port, "/ready")
            return time.monotonic() - began_s
        time.sleep(0.2)
    process.terminate()
    sys.exit(f"not ready within {limit_s:.0f} s")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make-base", action="store_true", help="make a Debian base image with mmdebstrap")
    parser.add_argument("--arch", default="", help="of the image, in Docker's words; default: this machine's")
    options = parser.parse_args()
    has_docker = shutil.which("docker") and not subprocess.run(["docker", "info"], capture_output=True).returncode
    if not has_docker and not (shutil.which("buildah") and os.geteuid() == 0):
        sys.exit("image-test needs a running Docker engine, or root and Debian's buildah")
    engine = Docker(options.arch) if has_docker else Buildah(options.arch)
    base = make_base(options.arch) if options.make_base else os.environ.get("BASE")
    size = engine.build([f"--build-arg=BASE={base}"] if base else [])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with engine.started(port, ["sh", "-c", "id -u; touch /opt/hearth/written && echo written"]) as process:
        found = process.communicate()[0].split()
    if found != ["10001"]:
        sys.exit(f"the image is to run as user 10001 and must not write its root; it printed {found}")
    times = EMULATED_TIMES if options.arch else 1
    with engine.started(port, []) as process:
        try:
            ready_s = wait_until_ready(process, port, times * READY_S)
            require_guard(port)
            for path, body in QUESTIONS.items():
                print(f"{path}: {ask(port, path, body, times * ANSWER_S)[:120].decode()}")
        finally:
            process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_S)
    if code:
        sys.exit(f"SIGTERM ended the server with {code}, not 0")
    print(f"image {size / 1e6:.0f} MB, ready after {ready_s:.1f} s, drained with exit code 0: 1 passed, 0 failed")


if __name__ == "__main__":
    main()
