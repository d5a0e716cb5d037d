"""A decoder of random numbers that ranks in Qwen3-Reranker's form: its prompt, its numbers, long texts, refusals."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tokenizers

from models.convert import CannotConvert, Request, convert, open_path
from models.convert.passage import PASSAGE
from models.registry import read_card
from tests.convert.decoder_repositories import byte_level
from tests.convert.weight_files import DIM, LAYERS, llama_config, llama_tensors, write_llama, write_safetensors
from tests.engines.step import reference
from tests.server_process import serving

QUERY = "Who slept in the shade?"
DOCUMENTS = ["A dog slept in the shade of a boat.", "Boil two litres of water.", "- why?", "München\n\n 🙂 ", "no"]
PROMPT = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n<Query>: {query}\n"
    "<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
"""As the model's page writes it."""


def write(folder: Path, *answers: str) -> Path:
    """A repository of a tiny Qwen 3 that ranks."""
    write_llama(folder)
    made = byte_level()
    made.add_tokens(["<think>", "</think>", *answers])
    made.save(str(folder / "tokenizer.json"))
    rows, random = made.get_vocab_size(), np.random.default_rng(1)
    arrays = llama_tensors(rows)
    for i in range(LAYERS):
        for name in ("q_norm", "k_norm"):
            arrays[f"model.layers.{i}.self_attn.{name}.weight"] = random.normal(1, 0.1, DIM).astype(np.float32)
    write_safetensors(folder / "model.safetensors", arrays)
    config = {**llama_config(rows), "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\npipeline_tag: text-ranking\n---\n")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder: Path = tmp_path_factory.mktemp("models")
    hub = write(tmp_path_factory.mktemp("hub") / "qwen", "yes", "no")
    convert(open_path(hub), folder, "judge", Request(check="structure"))
    reader = tokenizers.Tokenizer.from_file(str(hub / "tokenizer.json"))
    with serving(models_dir=folder) as served, served.client() as client:
        yield SimpleNamespace(client=client, reader=reader, folder=folder / "judge")


def wanted(world: SimpleNamespace, document: str, query: str = QUERY) -> tuple[float, int]:
    """The difference of the two answers' logits, and the length of the prompt."""
    prompt = PROMPT.format(query=query, document=document)
    ids = world.reader.encode(prompt, add_special_tokens=False).ids
    last = reference.logits(world.folder, ids)[-1]
    return float(last[world.reader.token_to_id("yes")] - last[world.reader.token_to_id("no")]), len(ids)


def ask(world: SimpleNamespace, **body: Any) -> Any:
    answer = world.client.post("/v1/rerank", json={"query": QUERY, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_documents_are_judged_by_the_two_answers_of_the_models_own_prompt(world: SimpleNamespace) -> None:
    raw = world.client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS, "raw_scores": True}).json()
    found = {each["index"]: each["score"] for each in raw}
    right, tokens = zip(*(wanted(world, document) for document in DOCUMENTS), strict=True)
    assert [found[i] for i in range(len(DOCUMENTS))] == pytest.approx(right, abs=0.05)
    answer = ask(world, documents=DOCUMENTS)
    assert (answer["method"], answer["model"]) == ("cross-encoder", "judge")
    assert answer["usage"]["prompt_tokens"] == sum(tokens)
    scores = {each["index"]: each["relevance_score"] for each in answer["results"]}
    assert scores == pytest.approx({i: 1 / (1 + np.exp(-found[i])) for i in found}, abs=1e-4)


def test_the_best_window_of_a_long_document_counts(world: SimpleNamespace) -> None:
    [long] = ask(world, documents=[PASSAGE])["results"]
    assert long["windows"] > 2
    [first] = ask(world, documents=[PASSAGE], max_chunks_per_doc=1)["results"]
    assert first["windows"] == 1
    assert long["relevance_score"] >= first["relevance_score"]
    cut = world.client.post("/rerank", json={"query": QUERY, "texts": [PASSAGE, "a"], "truncate": True})
    assert cut.status_code == 200
    [short] = ask(world, documents=[PASSAGE], max_tokens_per_doc=5)["results"]
    text = world.reader.decode(world.reader.encode(f"<Document>: {PASSAGE}", add_special_tokens=False).ids)
    label = len(world.reader.encode("<Document>:").ids) - 1
    kept = world.reader.encode(f"<Document>: {PASSAGE}", add_special_tokens=False).ids[label : label + 5]
    assert text.startswith("<Document>: " + PASSAGE[:20])
    right, _ = wanted(world, world.reader.decode(kept).removeprefix(" "))
    assert short["relevance_score"] == pytest.approx(1 / (1 + np.exp(-right)), abs=0.02)


def test_a_judge_does_not_chat(world: SimpleNamespace) -> None:
    assert read_card(world.folder).task == "rerank"
    body = {"model": "judge", "messages": [{"role": "user", "content": "Hi"}]}
    assert world.client.post("/v1/chat/completions", json=body).status_code == 404
    assert world.client.post("/v1/completions", json={"prompt": "Hi"}).status_code == 404


def test_a_decoder_without_the_answers_or_with_another_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotConvert, match="has no token 'yes'"):
        convert(open_path(write(tmp_path / "qwen", "no")), tmp_path / "models", "mine", Request(check="structure"))
    llama = write_llama(tmp_path / "llama")
    (llama / "README.md").write_text("---\npipeline_tag: text-ranking\n---\n")
    with pytest.raises(CannotConvert, match="ranks texts by the answer of a decoder"):
        convert(open_path(llama), tmp_path / "models", "mine", Request(check="structure"))
