"""``suffix``: a gap is filled by a model whose vocabulary has the tokens for it, on the engine that serves it."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tokenizers

from models.convert.fill import ENDS, MARKS, fill_spec
from tests.generator_folders import tokens_of, write_generator, write_tokenizer
from tests.server_process import serving

QWEN, CODE_LLAMA = MARKS[0], MARKS[3]
BEFORE, AFTER = "def f(x):", " return y"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder: Path = tmp_path_factory.mktemp("models")
    write_generator(folder / "coder", *QWEN, "<|fim_pad|>")
    write_generator(folder / "llama", *CODE_LLAMA, "<|fim_pad|>", first_space=True)
    write_generator(folder / "plain")
    with serving(models_dir=folder) as served, served.client() as client:

        def complete(model: str, prompt: Any, **fields: Any) -> Any:
            return client.post(
                "/v1/completions",
                json={"model": model, "prompt": prompt, "max_tokens": 12, "temperature": 0, **fields},
            )

        yield SimpleNamespace(folder=folder, complete=complete)


@pytest.mark.parametrize("marks", MARKS)
def test_the_tokens_are_found_in_a_vocabulary(tmp_path: Path, marks: tuple[str, str, str]) -> None:
    write_tokenizer(tmp_path, *marks, ENDS[0])
    found = fill_spec(tokens_of(tmp_path))
    assert found is not None
    assert (found.prefix, found.suffix, found.middle, found.stop_tokens) == (*marks, (ENDS[0],))
    write_tokenizer(tmp_path, *marks[:2])
    assert fill_spec(tokens_of(tmp_path)) is None


@pytest.mark.parametrize(("model", "marks", "before"), [("coder", QWEN, BEFORE), ("llama", CODE_LLAMA, " " + BEFORE)])
def test_a_gap_is_asked_for_with_the_models_own_tokens(
    world: Any, model: str, marks: tuple[str, ...], before: str
) -> None:
    """The space that some tokenizers put before a text is before the first, and before no other."""
    known = tokenizers.Tokenizer.from_file(str(world.folder / model / "tokenizer.json")).get_vocab()
    texts = [[known[letter] for letter in text.replace(" ", "▁")] for text in (before, AFTER)]
    ids = [known[marks[0]], *texts[0], known[marks[1]], *texts[1], known[marks[2]]]
    filled = world.complete(model, BEFORE, suffix=AFTER).json()
    asked = world.complete(model, ids).json()
    assert filled["choices"] == asked["choices"]
    assert filled["usage"]["prompt_tokens"] == len(ids)
    assert filled["choices"] != world.complete(model, BEFORE).json()["choices"]


def test_the_tokens_of_gaps_end_a_filling_and_nothing_else(world: Any) -> None:
    known = tokenizers.Tokenizer.from_file(str(world.folder / "coder" / "tokenizer.json")).get_vocab()
    for end in (*QWEN, "<|fim_pad|>"):
        bias = {str(known[end]): 100}
        [filled] = world.complete("coder", BEFORE, suffix=AFTER, logit_bias=bias).json()["choices"]
        [plain] = world.complete("coder", BEFORE, logit_bias=bias).json()["choices"]
        assert (filled["finish_reason"], filled["text"]) == ("stop", "")
        assert plain["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("model", "prompt", "fields", "why"),
    [
        ("plain", BEFORE, {}, "tokens to fill a gap"),
        ("coder", BEFORE, {"echo": True}, "echo"),
        ("coder", [1, 2], {}, "not token ids"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(world: Any, model: str, prompt: Any, fields: Any, why: str) -> None:
    answer = world.complete(model, prompt, suffix=AFTER, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "suffix")
    assert why in answer.json()["error"]["message"]


def test_an_empty_suffix_asks_for_nothing(world: Any) -> None:
    with_it, without = (world.complete("plain", BEFORE, **more).json() for more in ({"suffix": ""}, {}))
    assert with_it["choices"] == without["choices"]
