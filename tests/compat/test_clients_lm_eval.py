"""lm-evaluation-harness against a real server, on a task of its own. Run by `make test-clients`."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Served

if importlib.util.find_spec("lm_eval") is None:
    pytest.skip("lm-eval is in the environment of `make test-clients` only", allow_module_level=True)
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")  # read at import
lm_eval = pytest.importorskip("lm_eval")

ROWS = [
    {"question": "I would like to book a", "choices": [" table", " zebra"], "answer": 0, "text": "table"},
    {"question": "I need a taxi to the", "choices": [" quantum", " airport"], "answer": 1, "text": "airport"},
]


def task(folder: Path, **fields: Any) -> dict[str, Any]:
    rows = folder / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, ROWS)))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(rows)}}, "test_split": "test"}
    return {**data, "doc_to_text": "{{question}}", **fields}


def choices(folder: Path) -> dict[str, Any]:
    return task(
        folder, task="choices", output_type="multiple_choice", doc_to_choice="{{choices}}", doc_to_target="{{answer}}",
        target_delimiter="",
    )  # fmt: skip


def continuations(folder: Path) -> dict[str, Any]:
    kwargs = {"until": ["\n", "."], "max_gen_toks": 8, "do_sample": False}
    metrics = [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]
    return task(
        folder, task="continuations", output_type="generate_until", doc_to_target="{{text}}", generation_kwargs=kwargs,
        metric_list=metrics,
    )  # fmt: skip


def evaluate(server: Served, kind: str, path: str, tasks: list[dict[str, Any]], **args: Any) -> Any:
    return lm_eval.simple_evaluate(
        model=kind,
        model_args={"model": "assistant", "base_url": f"{server.url}{path}", "max_length": 1024, **args},
        tasks=tasks,
        task_manager=lm_eval.tasks.TaskManager(include_defaults=False),  # it has thousands to read
        apply_chat_template="chat" in kind,
        bootstrap_iters=0,
    )


@pytest.mark.parametrize("batch_size", [1, 2])
def test_completions_score_choices_and_go_on_with_texts(server: Served, tmp_path: Path, batch_size: int) -> None:
    tasks = [choices(tmp_path), continuations(tmp_path)]
    done = evaluate(server, "local-completions", "/v1/completions", tasks, batch_size=batch_size)
    assert done["results"]["choices"]["acc,none"] == 1.0
    for sample in done["samples"]["choices"]:
        assert all(score < 0 for score, _ in sample["filtered_resps"])
    assert all(sample["filtered_resps"][0] for sample in done["samples"]["continuations"])


def test_tokens_scored_apart_are_those_scored_together(server: Served, tmp_path: Path) -> None:
    scores = [
        [sample["filtered_resps"] for sample in evaluate(
            server, "local-completions", "/v1/completions", [choices(tmp_path)], batch_size=size, num_concurrent=many,
        )["samples"]["choices"]]
        for size, many in ((1, 1), (2, 2))
    ]  # fmt: skip
    for one, other in zip(*scores, strict=True):
        assert [score for score, _ in one] == pytest.approx([score for score, _ in other], abs=1e-3)


def test_chat_completions_answer(server: Served, tmp_path: Path) -> None:
    done = evaluate(server, "local-chat-completions", "/v1/chat/completions", [continuations(tmp_path)])
    assert all(sample["filtered_resps"][0] for sample in done["samples"]["continuations"])
