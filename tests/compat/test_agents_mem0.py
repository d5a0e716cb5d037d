"""mem0 against a real server: ``embed`` finds memories by their meaning. Run by `make test-clients`.

mem0's extraction of facts (``infer=True``) sends a prompt of 33,000 characters: too long for ``assistant``.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Served

SAID = ["I am allergic to peanuts.", "My dentist is Dr. Rossi.", "I drive a red van."]


@pytest.fixture(scope="session")
def mem0(tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ.update(MEM0_TELEMETRY="False", MEM0_DIR=str(tmp_path_factory.mktemp("mem0")))  # read at import
    return pytest.importorskip("mem0", reason="mem0ai is in the environment of `make test-clients` only")


@pytest.fixture
def memory(mem0: Any, server: Served, tmp_path: Path) -> Iterator[Any]:
    place = {"openai_base_url": f"{server.url}/v1", "api_key": "none"}
    folder = str(tmp_path / "vectors")
    with mem0.Memory.from_config(
        {
            "llm": {"provider": "openai", "config": {**place, "model": "assistant", "temperature": 0}},
            "embedder": {"provider": "openai", "config": {**place, "model": "embed"}},
            "vector_store": {"provider": "qdrant", "config": {"path": folder, "embedding_model_dims": 384}},
            "history_db_path": str(tmp_path / "history.db"),
        }
    ) as made:
        yield made


def test_what_was_said_is_found_by_its_meaning(memory: Any) -> None:
    for text in SAID:
        memory.add(text, user_id="mia", infer=False)
    found = memory.search("Which foods make me ill?", filters={"user_id": "mia"}, top_k=1)["results"]
    assert [one["memory"] for one in found] == [SAID[0]]
    assert not memory.search("Which foods make me ill?", filters={"user_id": "leo"})["results"]


def test_its_model_answers_though_it_asks_for_up_to_2000_tokens(memory: Any) -> None:
    assert memory.llm.generate_response([{"role": "user", "content": "I need a table for two in San Jose."}])


def test_a_prompt_that_is_too_long_is_told_as_such(memory: Any) -> None:
    with pytest.raises(Exception, match=r"context"):
        memory.add(SAID[0], user_id="mia")
