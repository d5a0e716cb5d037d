"""openai-agents against a real server, over both of OpenAI's APIs. Run by `make test-clients`."""

from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.compat.desk import ASK, FOOD, TABLE, Booking, Desk

agents = pytest.importorskip("agents", reason="openai-agents is in the environment of `make test-clients` only")

MODELS = ["OpenAIChatCompletionsModel", "OpenAIResponsesModel"]

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", MODELS)]


@pytest.fixture
def model(async_client: AsyncOpenAI, kind: str) -> Any:
    return getattr(agents, kind)(model="assistant", openai_client=async_client)


def agent(model: Any, **kwargs: Any) -> Any:
    settings = agents.ModelSettings(temperature=0, max_tokens=120)
    return agents.Agent(name="Desk", model=model, model_settings=settings, **kwargs)


async def run(asked: Any, said: Any) -> Any:
    return await agents.Runner.run(asked, said, run_config=agents.RunConfig(tracing_disabled=True))


async def test_a_second_turn_brings_the_first(model: Any) -> None:
    desk = agent(model, instructions="You book appointments.")
    first = await run(desk, TABLE)
    second = await run(desk, [*first.to_input_list(), {"role": "user", "content": FOOD}])
    assert first.final_output
    assert second.final_output
    assert second.context_wrapper.usage.input_tokens > first.context_wrapper.usage.input_tokens


async def test_a_tool_is_called_and_its_result_worded(model: Any) -> None:
    desk = Desk()
    result = await run(agent(model, tools=[agents.function_tool(desk.tool)]), ASK)
    desk.assert_served(result.final_output)


async def test_a_tool_is_called_and_its_result_worded_streamed(model: Any) -> None:
    desk = Desk()
    asked = agent(model, tools=[agents.function_tool(desk.tool)])
    result = agents.Runner.run_streamed(asked, ASK, run_config=agents.RunConfig(tracing_disabled=True))
    names = [event.name async for event in result.stream_events() if event.type == "run_item_stream_event"]
    assert names == ["tool_called", "tool_output", "message_output_created"]
    desk.assert_served(result.final_output)


async def test_a_typed_output_is_of_its_class(model: Any) -> None:
    assert isinstance((await run(agent(model, output_type=Booking), TABLE)).final_output, Booking)


async def test_a_typed_output_comes_after_the_tool(model: Any) -> None:
    desk = Desk()
    result = await run(agent(model, tools=[agents.function_tool(desk.tool)], output_type=Booking), ASK)
    desk.assert_called()
    assert isinstance(result.final_output, Booking)
