"""The chat facts of a repository, its manifest, and the verdicts of a self-check."""

from pathlib import Path

import numpy as np
import pytest

from models.cards import Manifest
from models.convert import CannotConvert, Mismatch, Source
from models.convert.chat import chat_template, recommended, stop_tokens
from models.convert.selfcheck import check_ids, common, noise_of, require_exact
from models.convert.source import SourceError, read_source
from models.convert.tokens import Tokens
from models.registry import find_models, read_card
from models.writing import write_manifest
from server.settings import SHIPPED_MODELS
from server.tasks.generation.chat_template import ChatTemplate
from tests.convert.decoder_repositories import CHAT_ML, byte_level, write_json


@pytest.fixture
def source(tmp_path: Path) -> Source:
    byte_level().save(str(tmp_path / "tokenizer.json"))
    return Source(tmp_path, "makers/tiny", None, {"eos_token_id": 1})


def written(template: str | None, **names: object) -> str:
    assert template is not None
    segments = ChatTemplate(template, ()).render([{"role": "user", "content": "Hi"}], **names)  # type: ignore[arg-type]
    return "".join(map(str, segments))


def test_templates_are_found_where_repositories_keep_them(source: Source) -> None:
    assert chat_template(source) is None
    write_json(source.path("tokenizer_config.json"), {"chat_template": "a"})
    assert chat_template(Source(source.folder, "")) == "a"
    write_json(source.path("chat_template.json"), {"chat_template": "b"})
    assert chat_template(Source(source.folder, "")) == "b"
    source.path("chat_template.jinja").write_text("c")
    assert chat_template(Source(source.folder, "")) == "c"


def test_of_several_templates_the_one_for_tools_is_for_tools(source: Source) -> None:
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with tools"}]
    write_json(source.path("tokenizer_config.json"), {"chat_template": named})
    assert written(chat_template(source)) == "plain"
    assert written(chat_template(source), tools=[{"type": "function"}]) == "with tools"


def test_what_marks_training_writes_nothing(source: Source) -> None:
    source.path("chat_template.jinja").write_text("a {%- generation -%} b {% endgeneration -%} c")
    assert written(chat_template(source)) == "ab c"


def test_a_broken_template_is_refused(source: Source) -> None:
    source.path("chat_template.jinja").write_text("{% if %}")
    with pytest.raises(CannotConvert, match="line 1 of the chat template"):
        chat_template(source)


def test_json_is_written_as_transformers_writes_it() -> None:
    template = "{{ {'b': 'é', 'a': [1]} | tojson(indent=1, separators=(',', ':'), sort_keys=true) }}"
    assert written(template) == '{\n "a":[\n  1\n ],\n "b":"é"\n}'


def test_every_end_stops_a_completion(source: Source) -> None:
    write_json(source.path("generation_config.json"), {"eos_token_id": [1, 4, 999]})
    tokens = Tokens(source, 400)
    assert stop_tokens(source, tokens, None) == ("</s>", tokens.token(4))
    assert stop_tokens(source, tokens, CHAT_ML)[-1] == "<|im_end|>"


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"temperature": 0.6, "top_k": 20, "eos_token_id": 1, "max_length": 9}, {"temperature": 0.6, "top_k": 20}),
        ({"do_sample": True, "repetition_penalty": 1.05, "min_p": 0}, {"min_p": 0, "repetition_penalty": 1.05}),
        ({"do_sample": False, "temperature": 0.6}, {}),
        ({"temperature": 7, "top_p": 0, "top_k": -1, "min_p": "0.1", "repetition_penalty": True}, {}),
        ({"temperature": None}, {}),
    ],
)  # fmt: skip
def test_what_makers_recommend_for_sampling_is_kept_where_it_makes_sense(
    config: dict[str, object], found: dict[str, float]
) -> None:
    assert recommended(config) == found


def test_the_licence_is_the_readmes(source: Source) -> None:
    assert source.license == "unknown"
    source.path("README.md").write_text("---\nlicense: other\nlicense_name: gemma\n---\nlicense: none")
    assert Source(source.folder, "").license == "gemma"


def test_a_folder_without_a_configuration_is_no_model(source: Source) -> None:
    with pytest.raises(SourceError, match=r"no config\.json"):
        read_source(source.folder)


def test_a_manifest_reads_as_it_was_written(tmp_path: Path) -> None:
    names = Manifest.__dataclass_fields__
    for card in find_models(SHIPPED_MODELS):
        wanted = Manifest(**{name: getattr(card, name) for name in names})
        write_manifest(tmp_path, wanted)
        found = read_card(tmp_path)
        assert Manifest(**{name: getattr(found, name) for name in names}) == wanted


def test_the_check_reads_beyond_a_window_and_never_beyond_the_context(source: Source) -> None:
    tokens = Tokens(source, 400)
    assert len(check_ids(tokens, 8192, None)) == len(check_ids(tokens, 8192, 4096)) == 384
    assert len(check_ids(tokens, 8192, 512)) == 608
    assert len(check_ids(tokens, 100, 512)) == 100


def test_logits_that_differ_are_refused_with_their_figure() -> None:
    wanted = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    assert require_exact(wanted, wanted + np.float32(1e-5)).value == pytest.approx(1e-5, rel=0.1)
    for wrong in (wanted + 0.1 * (wanted == wanted.max()), np.full_like(wanted, np.nan)):
        with pytest.raises(Mismatch, match=r"(0\.1|inf), at most 0\.001"):
            require_exact(wanted, wrong.astype(np.float32))


def test_noise_is_relative_and_knows_no_offset() -> None:
    wanted = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    assert noise_of(wanted, wanted + 3) == pytest.approx(0, abs=1e-6)
    assert noise_of(wanted, wanted * np.float32(1.1)) == pytest.approx(0.1, rel=1e-3)
    assert noise_of(wanted, np.full_like(wanted, np.nan)) == float("inf")
    assert common([1, 2, 3], [1, 2, 4]) == 2
