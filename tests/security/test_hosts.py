"""DNS rebinding: a web page whose name is made to point at this machine is not this machine."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

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


@pytest.mark.parametrize("settings", [{"api_keys": ("0" * 64,)}, {"allow_public": True}])
async def test_keys_or_the_operators_word_open_it_under_any_name(serving: Any, settings: dict[str, Any]) -> None:
    async with serving(**settings) as served:
        assert (await served.http.get("/health", headers={"host": "models.example"})).status_code == 200
