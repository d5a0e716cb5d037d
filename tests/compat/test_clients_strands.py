"""Strands Agents against a real server. Run by `make test-clients`: it wants another openai than the tests' own."""

from typing import Any

import pytest

from tests.compat.desk import ASK, FOOD, TABLE, Booking, Desk
from tests.server_process import Served

strands = pytest.importorskip("strands", reason="strands-agents is in the environment of `make test-clients` only")
from strands.models.openai import OpenAIModel  # noqa: E402  it is there


def agent(server: Served, tools: list[Any], stream: bool = True) -> Any:
    model = OpenAIModel(
        client_args={"base_url": f"{server.url}/v1", "api_key": "none", "max_retries": 0},
        model_id="assistant",
        params={"temperature": 0, "max_tokens": 80},
        stream=stream,
    )
    return strands.Agent(model=model, tools=tools, callback_handler=None)


def text(result: Any) -> str:
    return "".join(part.get("text", "") for part in result.message["content"])


@pytest.mark.parametrize("stream", [True, False])
def test_an_agent_without_tools_answers_turn_after_turn(server: Served, stream: bool) -> None:
    plain = agent(server, [], stream)
    assert text(plain(TABLE))
    read = plain.event_loop_metrics.accumulated_usage["inputTokens"]
    assert text(plain(FOOD))
    assert [message["role"] for message in plain.messages] == ["user", "assistant"] * 2
    # The second request brings the first turn along.
    assert plain.event_loop_metrics.accumulated_usage["inputTokens"] > 2 * read


@pytest.mark.parametrize("stream", [True, False])
def test_an_agent_calls_its_tool_and_words_the_result(server: Served, stream: bool) -> None:
    desk = Desk()
    result = agent(server, [strands.tool(desk.tool)], stream)(ASK)
    assert result.stop_reason == "end_turn"
    desk.assert_served(text(result))


def test_structured_output_is_of_the_class(server: Served) -> None:
    assert isinstance(agent(server, [])(TABLE, structured_output_model=Booking).structured_output, Booking)
