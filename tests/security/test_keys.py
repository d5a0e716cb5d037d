"""API keys from a file: their access, their models, their rates."""

import hashlib
import hmac
import tomllib
from pathlib import Path
from typing import Any

import pytest

from server.api.keys import Keyring, read_keys
from server.cli import main
from server.settings import SettingsError

pytestmark = pytest.mark.anyio

SENTIMENT = {"input": "I love it."}


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a file of keys: name and secret, and what else is to be in its table."""

    def written(*keys: dict[str, Any]) -> str:
        lines = []
        for key in keys:
            secret = key.pop("secret", "sk-" + key.get("name", ""))
            lines += ["[[keys]]", f'sha256 = "{digest(secret)}"']
            lines += [f"{name} = {value!r}" for name, value in key.items()]
        (tmp_path / "keys.toml").write_text("\n".join(lines))
        return str(tmp_path / "keys.toml")

    return written


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def test_a_key_of_the_file_and_one_of_the_list_both_open(serving: Any, write: Any) -> None:
    async with serving(api_keys=(digest("sk-listed"),), api_keys_file=write({"name": "a"})) as served:
        for secret, status in (("sk-a", 200), ("sk-listed", 200), ("sk-b", 401)):
            assert (await served.http.get("/v1/models", headers=bearer(secret))).status_code == status


@pytest.mark.parametrize("secret", ["sk-0", "sk-19", "sk-none", ""])
def test_every_hash_is_compared_whatever_was_sent(secret: str, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring(file=write(*({"name": str(n)} for n in range(20))))
    compared = []

    def watched(a: str, b: str) -> bool:
        compared.append((a, b))
        return original(a, b)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", watched)
    keyring.find(secret)
    assert [b for _, b in compared] == [digest(f"sk-{n}") for n in range(20)]
    assert {a for a, _ in compared} == {digest(secret)}


async def test_a_key_sees_and_uses_its_own_models_only(serving: Any, write: Any) -> None:
    async with serving(api_keys_file=write({"name": "a", "models": ["sentiment", "embed"]})) as served:
        headers = bearer("sk-a")
        listed = await served.http.get("/v1/models", headers=headers)
        assert [model["id"] for model in listed.json()["data"]] == ["embed", "sentiment"]
        assert (await served.http.post("/v1/sentiment", json=SENTIMENT, headers=headers)).status_code == 200
        refused = [
            await served.http.get("/v1/models/assistant", headers=headers),
            await served.http.get("/tokenizer_info?model=assistant", headers=headers),
            await served.http.post("/tokenize", json={"model": "assistant", "prompt": "a"}, headers=headers),
            await served.http.post("/v1/completions", json={"model": "assistant", "prompt": "a"}, headers=headers),
        ]
        for response in refused:
            error = response.json()["error"]
            assert (response.status_code, error["code"], error["param"]) == (403, "model_not_allowed", "model")
            assert "'assistant'" in error["message"]
        assert not served.engines["assistant"].began.is_set()
        # Where none is named, the models of others are as if they were not there.
        unnamed = await served.http.post("/v1/completions", json={"prompt": "a", "stream": True}, headers=headers)
        assert (unnamed.status_code, unnamed.json()["error"]["code"]) == (404, "model_not_found")
        assert "assistant" not in unnamed.text
        deepl = await served.http.post("/v2/translate", json={"text": ["a"], "target_lang": "DE"}, headers=headers)
        assert deepl.status_code == 404
        assert "translate" not in deepl.json()["message"]


async def test_a_key_that_names_no_model_gets_one_of_its_own(serving: Any, write: Any) -> None:
    """Several models could serve the task for everybody, one for this key."""
    async with serving(api_keys_file=write({"name": "a", "models": ["moderation"]}, {"name": "b"})) as served:
        for path in ("/predict", "/classify"):
            body = {"inputs": "Hi", "input": "Hi"}
            del body["input" if path == "/predict" else "inputs"]
            answer = await served.http.post(path, json=body, headers=bearer("sk-a"))
            assert answer.status_code == 200, answer.text
        assert served.metrics.value("prompt_tokens_total", "moderation") > 0
        assert served.metrics.value("prompt_tokens_total", "sentiment") == 0
        counted = await served.http.post("/tokenize", json={"prompt": "Hi"}, headers=bearer("sk-a"))
        assert counted.status_code == 200, "the only model this key has"


async def test_a_key_unloads_the_models_it_may_use_and_no_others(serving: Any, write: Any) -> None:
    async with serving(api_keys_file=write({"name": "a", "models": ["embed"]})) as served:
        for path in ("/models/load", "/models/unload"):
            mine = await served.http.post(path, json={"model": "embed"}, headers=bearer("sk-a"))
            other = await served.http.post(path, json={"model": "assistant"}, headers=bearer("sk-a"))
            assert (mine.status_code, other.status_code) == (200, 403)


async def test_deepls_older_clients_send_the_key_as_a_field(serving: Any, write: Any) -> None:
    async with serving(api_keys_file=write({"name": "a", "models": ["translate"]})) as served:
        body = {"text": "Hi", "target_lang": "DE"}
        for key, status in (("sk-a", 200), ("sk-b", 403), ("", 403)):
            for sent in ({"data": {**body, "auth_key": key}}, {"params": {**body, "auth_key": key}}):
                assert (await served.http.post("/v2/translate", **sent)).status_code == status
        assert (await served.http.get("/v2/usage")).status_code == 403
    async with serving() as served:
        assert (await served.http.post("/v2/translate", data={**body, "auth_key": "any"})).status_code == 200


async def test_libretranslates_fields_may_stand_in_the_query(serving: Any, write: Any) -> None:
    """As deep-translator sends them: a POST without a body."""
    query = {"q": "Hello.", "source": "en", "target": "de", "format": "text"}
    async with serving() as served:
        answer = await served.http.post("/translate", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.json() == (await served.http.post("/translate", json=query)).json()
        assert (await served.http.post("/translate")).json()["error"] == "'q' is missing."
        untyped = await served.http.post("/translate", content=b"q=Hello")
        assert untyped.status_code == 415
    async with serving(api_keys_file=write({"name": "a"})) as served:
        assert (await served.http.post("/translate", params={**query, "api_key": "sk-a"})).status_code == 200
        assert (await served.http.post("/translate", params={**query, "api_key": "sk-b"})).status_code == 403


async def test_an_unknown_model_does_not_name_those_of_others(serving: Any, write: Any) -> None:
    async with serving(api_keys_file=write({"name": "a", "models": ["embed"]})) as served:
        for path in ("/v1/models/x", "/tokenizer_info?model=x"):
            message = (await served.http.get(path, headers=bearer("sk-a"))).json()["error"]["message"]
            assert "embed" in message
            assert "assistant" not in message


async def test_the_rate_of_requests_holds_and_its_headers_say_so(serving: Any, write: Any) -> None:
    now = 1000.0
    file = write({"name": "a", "rate_rpm": 2}, {"name": "b"})
    async with serving(api_keys_file=file, clock=lambda: now) as served:

        async def ask(secret: str = "sk-a") -> Any:  # noqa: S107  made up
            return await served.http.post("/v1/sentiment", json=SENTIMENT, headers=bearer(secret))

        first, second, third = await ask(), await ask(), await ask()
        assert [r.status_code for r in (first, second, third)] == [200, 200, 429]
        assert [r.headers["x-ratelimit-remaining-requests"] for r in (first, second, third)] == ["1", "0", "0"]
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-reset-requests"] == "30s"
        assert third.headers["x-ratelimit-reset-requests"] == "1m0s"
        assert third.headers["retry-after"] == "30"
        assert third.json()["error"]["code"] == "rate_limit_exceeded"
        assert served.metrics.value("requests_rejected_total", "rate_limit_exceeded") == 1
        assert (await ask("sk-b")).status_code == 200, "another key has a rate of its own"
        assert (await served.http.get("/v1/models", headers=bearer("sk-a"))).status_code == 200, "looking is free"
        now += 30
        assert (await ask()).status_code == 200
        assert (await ask()).status_code == 429


async def test_tokens_are_charged_when_they_are_known_and_a_debt_is_paid(serving: Any, write: Any) -> None:
    now = 1000.0
    async with serving(api_keys_file=write({"name": "a", "tokens_per_minute": 60}), clock=lambda: now) as served:

        async def ask(**more: Any) -> Any:
            body = {"prompt": "a", "max_tokens": 98, "ignore_eos": True, **more}
            return await served.http.post("/v1/completions", json=body, headers=bearer("sk-a"))

        assert (await ask()).json()["usage"]["total_tokens"] == 100
        refused = await ask()
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "41"  # 40 tokens of debt, and one to spend
        assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
        now += 41
        assert "[DONE]" in (await ask(stream=True)).text
        assert (await ask()).status_code == 429, "what is streamed is charged too"


async def test_a_key_in_the_body_has_its_rate_too(serving: Any, write: Any) -> None:
    async with serving(api_keys_file=write({"name": "a", "rate_rpm": 1})) as served:
        body = {"q": "a", "source": "en", "target": "de", "api_key": "sk-a"}
        assert (await served.http.post("/translate", json=body)).status_code == 200
        refused = await served.http.post("/translate", json=body)
        assert refused.status_code == 429
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert (await served.http.post("/translate", json={**body, "api_key": "x"})).status_code == 403


def test_the_file_is_read_again_and_a_key_keeps_what_it_has_used(write: Any) -> None:
    file = write({"name": "a", "rate_rpm": 5}, {"name": "gone"})
    keyring = Keyring(file=file, clock=lambda: 0.0)
    before = keyring.find("sk-a")
    assert before is not None
    before.admit()
    write({"name": "a", "rate_rpm": 5}, {"name": "new"})
    keyring.reload()
    after = keyring.find("sk-a")
    assert after is not None
    assert after.buckets["requests"].remaining == 4
    assert keyring.find("sk-gone") is None
    assert keyring.find("sk-new") is not None
    Path(file).write_text("")
    with pytest.raises(SettingsError):
        keyring.reload()
    assert keyring.find("sk-new") is not None, "a file that is wrong changes nothing"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one"),
        ("keys = []", "at least one"),
        ("[[keys]]\nname='a'", "'sha256'"),
        (f"[[keys]]\nsha256='{digest('a')}'", "'name'"),
        (f"[[keys]]\nname='a\\n'\nsha256='{digest('a')}'", "'name'"),
        ("[[keys]]\nname='a'\nsha256='secret'", "'sha256'"),
        (f"[[keys]]\nname='a'\nsha256='{digest('a')}'\nrate=1", "'rate'"),
        (f"[[keys]]\nname='a'\nsha256='{digest('a')}'\nrate_rpm=0", "'rate_rpm'"),
        (f"[[keys]]\nname='a'\nsha256='{digest('a')}'\ntokens_per_minute='1'", "'tokens_per_minute'"),
        (f"[[keys]]\nname='a'\nsha256='{digest('a')}'\nmodels=[]", "'models'"),
        (f"[[keys]]\nname='a'\nsha256='{digest('a')}'\n[[keys]]\nname='b'\nsha256='{digest('a')}'", "twice"),
        ("keys", "cannot be read"),
        ("other = 1", "nothing else"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_keys(file)


def test_hearth_key_makes_what_the_file_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "--name", "mobile"]) == 0
    out = capsys.readouterr().out
    secret = out.splitlines()[0].rsplit(" ", 1)[1]
    (tmp_path / "keys.toml").write_text(out)
    key_user = Keyring(file=str(tmp_path / "keys.toml")).find(secret)
    assert key_user is not None
    assert key_user.key.name == "mobile"
    assert secret not in str(tomllib.loads(out))
    assert main(["key"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("sha256 ")
