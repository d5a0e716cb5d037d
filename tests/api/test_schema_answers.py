"""Generated schemas sent to a real server: as a format and as a tool, whole and streamed, to a small trained model and
to one of random numbers. Every whole answer conforms to its schema, or the server answers 400 and names the keyword and
its place.
"""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generator_folders import write_speaker
from tests.schema_cases import PARAMETERS, SCHEMAS, stands, told, validates
from tests.server_process import serving

ROOT = Path(__file__).parents[2]
FEW = 30
CASES = int(os.environ.get("SCHEMA_CASES", FEW))  # 2,000 and more by `make test-schemas`
PLACES = re.compile(r"'([^']+)' at (?:the root|'([^']*)')")
ASK = [{"role": "user", "content": "I need a table for 3 people on Friday in San Jose."}]
MOST = 80
"""Tokens: many answers end before, as what is asked is small."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder: Path = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models" / "weights" / "assistant", folder / "assistant")
    write_speaker(folder / "random", (ROOT / "tests" / "quality" / "translation.tsv").read_text("utf-8").splitlines())
    with serving(models_dir=folder) as served:
        yield SimpleNamespace(url=served.url)


def as_format(schema: Any) -> dict[str, Any]:
    described = {"name": "x", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def as_tool(schema: Any) -> dict[str, Any]:
    function = {"name": "f", "parameters": schema, "strict": True}
    tools = [{"type": "function", "function": function}]
    return {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False}


async def ask(http: httpx.AsyncClient, body: Any) -> Any:
    """Status, error message, text, arguments of each call, and reason; those of a stream put together."""
    response = await http.post("/v1/chat/completions", json=body)
    found = SimpleNamespace(status=response.status_code, message="", text="", calls=[], reason=None)
    if response.status_code != 200:
        found.message = response.json()["error"]["message"]
    elif not body.get("stream"):
        (choice,) = response.json()["choices"]
        found.text, found.reason = choice["message"]["content"] or "", choice["finish_reason"]
        found.calls = [call["function"]["arguments"] for call in choice["message"].get("tool_calls") or ()]
    else:
        *events, last = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
        assert last == "[DONE]", response.text[-300:]
        for event in events:
            (choice,) = json.loads(event)["choices"]
            found.text += choice["delta"].get("content") or ""
            found.calls += [call["function"]["arguments"] for call in choice["delta"].get("tool_calls") or ()]
            found.reason = choice["finish_reason"] or found.reason
    return found


async def pairs(http: httpx.AsyncClient, asked: Any, temperature: float, seed: int) -> list[tuple[Any, Any]]:
    """The whole and the streamed answer of each model."""
    same = {"messages": ASK, "max_tokens": MOST, "temperature": temperature, "seed": seed, **asked}
    bodies = [
        {"model": model, "stream": stream, **same}
        for model in ("assistant", "random")
        for stream in (False, True)
    ]  # fmt: skip
    answers = await asyncio.gather(*(ask(http, body) for body in bodies))
    return list(zip(answers[::2], answers[1::2], strict=True))


def judged(whole: Any, streamed: Any, schema: Any, *, called: bool) -> bool:
    """Whether the answer was whole; whatever is untrue about it fails here."""
    assert vars(streamed) == vars(whole), told(schema, str((whole, streamed)))
    assert whole.status in (200, 400), told(schema, str(whole))
    if whole.status == 400:
        found = PLACES.search(whole.message)
        assert found or "stands no schema" in whole.message or "it is false" in whole.message, (whole.message, schema)
        assert not found or stands(schema, found[1], found[2] or ""), (whole.message, schema)
        return False
    if whole.reason == "length":
        assert not whole.calls, "an unfinished call was told"
        return False
    assert whole.reason == ("tool_calls" if called else "stop")
    (answer,) = whole.calls if called else (whole.text,)
    assert validates(json.loads(answer), schema), told(schema, answer)
    return True


@pytest.mark.parametrize("called", [False, True], ids=["format", "tool"])
def test_a_whole_answer_goes_with_its_schema_or_the_request_was_refused_by_keyword(world: Any, called: bool) -> None:
    seen = {"whole": 0, "cut": 0, "refused": 0}

    @settings(
        max_examples=CASES, deadline=None, database=None, derandomize=CASES == FEW,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(schema=PARAMETERS if called else SCHEMAS, temperature=st.sampled_from([0, 1]), seed=st.integers(0, 2**16))
    def check(schema: Any, temperature: float, seed: int) -> None:
        async def one() -> list[tuple[Any, Any]]:
            async with httpx.AsyncClient(base_url=world.url, timeout=60.0) as http:
                return await pairs(http, (as_tool if called else as_format)(schema), temperature, seed)

        for whole, streamed in asyncio.run(one()):
            is_whole = judged(whole, streamed, schema, called=called)
            seen["whole" if is_whole else "refused" if whole.status == 400 else "cut"] += 1

    check()
    print(f"{'tools' if called else 'formats'}: {CASES} schemas of two models, whole and streamed: {seen}")  # noqa: T201  the figure that is kept
    assert seen["whole"] > CASES / 4
