"""DNS rebinding: a web page whose name is made to point at this machine is not this machine."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.api import metrics_only
from server.metrics import Metrics
from server.settings import Settings, load_settings

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

OURS = ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.5", "hearth", "hearth:80",
        "a.localhost", "host.docker.internal:1", "box.local", "LOCALHOST", "localhost."]  # fmt: skip
THEIRS = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example.",
          "127.0.0.1.nip.io", "1.2.3", "local.evil.com", "evil.com:127.0.0.1", "a.b@localhost.c"]  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/metrics"])
async def test_a_server_without_keys_answers_under_names_of_its_own_machine_only(serving: Any, path: str) -> None:
    async with serving(allowed_hosts=("models.example",)) as served:
        for host in (*OURS, "models.example", "Models.Example:443"):
            assert (await served.http.get(path, headers={"host": host})).status_code == 200, host
        for host in THEIRS:
            refused = await served.http.get(path, headers={"host": host})
            assert refused.status_code == 403, host
            assert refused.json()["error"]["code"] == "host_not_allowed"
            assert host not in refused.text
        assert served.metrics.value("requests_rejected_total", "host_not_allowed") == len(THEIRS)


@pytest.mark.parametrize("settings", [{"api_keys": ("0" * 64,)}, {"allowed_hosts": ("*",)}])
async def test_keys_or_the_operators_word_open_it_under_any_name(serving: Any, settings: dict[str, Any]) -> None:
    async with serving(**settings) as served:
        assert (await served.http.get("/health", headers={"host": "models.example"})).status_code == 200


async def test_where_it_listens_says_nothing_about_the_names_it_answers_under(serving: Any) -> None:
    async with serving(host="0.0.0.0", allow_public=True) as served:  # noqa: S104  the point of the test
        assert (await served.http.get("/health", headers={"host": "evil.example"})).status_code == 403
        assert (await served.http.get("/health", headers={"host": "192.168.1.5:8000"})).status_code == 200


def image_environment() -> dict[str, str]:
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split())


async def test_the_image_published_on_loopback_is_guarded_as_a_server_on_loopback_is(serving: Any) -> None:
    settings = load_settings({}, image_environment())
    assert settings.host == "0.0.0.0"  # noqa: S104  what the container listens on
    async with serving(**settings.model_dump(include=settings.model_fields_set)) as served:
        for path in ("/", "/v1/models", "/metrics"):
            assert (await served.http.get(path, headers={"host": "evil.example:8000"})).status_code == 403, path
            assert (await served.http.get(path, headers={"host": "localhost:8000"})).status_code == 200, path
        # As Prometheus calls it in compose.yaml.
        assert (await served.http.get("/metrics", headers={"host": "hearth:8000"})).status_code == 200


@pytest.mark.parametrize("settings", [{}, {"api_keys": ("0" * 64,)}])
async def test_the_port_for_metrics_is_guarded_too_for_it_asks_for_no_key(settings: dict[str, Any]) -> None:
    app = metrics_only(Settings(**settings, allowed_hosts=("models.example",)), Metrics("test"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        for host, status in (("evil.example", 403), ("models.example", 200), ("10.0.0.7:9100", 200), ("hearth", 200)):
            assert (await http.get("/metrics", headers={"host": host})).status_code == status, host
