"""agno against a real server. Run by `make test-clients`."""

from typing import Any

import pytest

from tests.compat.desk import ASK, FOOD, TABLE, Booking, Desk
from tests.server_process import Served

pytest.importorskip("agno", reason="agno is in the environment of `make test-clients` only")
from agno.agent import Agent
from agno.db.in_memory import InMemoryDb
from agno.models.openai import OpenAILike
from agno.run.base import RunStatus


def agent(server: Served, **kwargs: Any) -> Any:
    place = {"id": "assistant", "base_url": f"{server.url}/v1", "api_key": "none"}
    model = OpenAILike(**place, temperature=0, max_tokens=120, max_retries=0)
    return Agent(model=model, telemetry=False, **kwargs)


def run(asked: Any, said: str) -> Any:
    """The agent's answer. agno returns an error as an answer, so this checks the status."""
    done = asked.run(said)
    assert done.status == RunStatus.completed, done.content
    return done


def test_a_second_turn_brings_the_first(server: Served) -> None:
    desk = agent(server, db=InMemoryDb(), add_history_to_context=True)
    first, second = run(desk, TABLE), run(desk, FOOD)
    assert first.content
    assert second.content
    assert second.metrics.input_tokens > first.metrics.input_tokens


def test_a_tool_is_called_and_its_result_worded(server: Served) -> None:
    desk = Desk()
    desk.assert_served(run(agent(server, tools=[desk.tool]), ASK).content)


def test_a_tool_is_called_and_its_result_worded_streamed(server: Served) -> None:
    desk = Desk()
    desk.assert_served("".join(event.content or "" for event in agent(server, tools=[desk.tool]).run(ASK, stream=True)))


def test_a_typed_output_is_of_its_class(server: Served) -> None:
    assert isinstance(run(agent(server, output_schema=Booking), TABLE).content, Booking)


def test_a_typed_output_comes_after_the_tool(server: Served) -> None:
    desk = Desk()
    done = run(agent(server, tools=[desk.tool], output_schema=Booking), ASK)
    desk.assert_called()
    assert isinstance(done.content, Booking)
