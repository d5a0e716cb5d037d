"""Repositories that have the older files of tokenizers only: the ids are those that these files give."""

from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from models.convert import CannotConvert, Source
from models.convert.passage import PASSAGE
from models.convert.slow_tokenizer import slow_tokenizer
from models.convert.tokens import Tokens
from tests.convert.decoder_repositories import byte_level, write_json


def trained(folder: Path, **options: Any) -> Any:
    prefix = str(folder / "tokenizer")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PASSAGE.split("\n") * 3),
        model_prefix=prefix,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=3,
        **options,
    )
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Tokens]:
    folder = tmp_path_factory.mktemp("pieces")
    model = trained(folder, model_type="bpe", vocab_size=600)
    write_json(folder / "added_tokens.json", {"<|im_start|>": 600})
    decoder = {"2": {"content": "</s>", "special": True}, "601": {"content": "<table>", "special": False}}
    write_json(folder / "tokenizer_config.json", {"eos_token": "</s>", "added_tokens_decoder": decoder})
    return model, Tokens(Source(folder, "makers/old"), 602)


@given(text=st.text(st.sampled_from("abehst  \n0é漢🙂"), max_size=40))
def test_a_sentencepiece_model_alone_gives_its_own_ids(pieces: tuple[Any, Tokens], text: str) -> None:
    model, tokens = pieces
    assert tokens.model.encode(text, add_special_tokens=False).ids == model.encode(text, out_type=int)


def test_tokens_that_were_added_later_are_there(pieces: tuple[Any, Tokens]) -> None:
    _, tokens = pieces
    assert [tokens.token(id) for id in (2, 600, 601)] == ["</s>", "<|im_start|>", "<table>"]
    assert tokens.model.encode("<|im_start|>a</s><table>", add_special_tokens=False).ids[0] == 600


def test_a_vocabulary_and_merges_are_a_tokenizer(tmp_path: Path) -> None:
    made = byte_level()
    made.model.save(str(tmp_path))
    source = Source(tmp_path, "makers/old", None, {"model_type": "gpt2"})
    write_json(tmp_path / "added_tokens.json", {"<tool_call>": made.get_vocab_size(with_added_tokens=False)})
    tokens = Tokens(source, made.get_vocab_size())
    text = "Where's the  ferry?\n\tÑandú 🙂"
    assert tokens.model.encode(text).ids == made.encode(text, add_special_tokens=False).ids


def test_a_unigram_is_not_taken_for_a_bpe(tmp_path: Path) -> None:
    trained(tmp_path, model_type="unigram", vocab_size=400, hard_vocab_limit=False)
    with pytest.raises(CannotConvert, match=r"tokenizer\.model is no BPE, and makers/old has no tokenizer\.json"):
        slow_tokenizer(Source(tmp_path, "makers/old"))


def test_files_that_are_damaged_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a\xff\xff\xff\xff\x0f")
    with pytest.raises(CannotConvert, match=r"tokenizer\.model cannot be read"):
        slow_tokenizer(Source(tmp_path, "makers/old"))
    write_json(tmp_path / "vocab.json", {"a": 0, "b": 2})
    (tmp_path / "merges.txt").write_text("")
    (tmp_path / "tokenizer.model").unlink()
    with pytest.raises(CannotConvert, match="does not number its tokens from 0 on"):
        slow_tokenizer(Source(tmp_path, "makers/old", None, {"model_type": "gpt2"}))


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotConvert, match=r"has no tokenizer\.json, and none can be made"):
        Tokens(Source(tmp_path, "makers/old"), 10)
