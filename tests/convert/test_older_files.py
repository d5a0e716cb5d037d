"""Repositories with only older tokenizer files: the ids equal those that these files define."""

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
from tests.convert.encoder_repositories import byte_level as roberta
from tests.convert.encoder_repositories import word_piece
from tests.convert.text_repositories import sentencepiece_file
from tests.convert.translator_repositories import sentencepiece_model


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
    with pytest.raises(CannotConvert, match=r"has no tokenizer\.json, and no older files"):
        Tokens(Source(tmp_path, "makers/old"), 10)


TEXTS = ("The harbour was quiet when the ferry came in.", "By 9:45, $2.50 each (or 5 for $10).  Why?", "¿Dónde está?")


def test_a_vocabulary_of_words_pieces_is_berts(tmp_path: Path) -> None:
    made = word_piece()
    made.model.save(str(tmp_path))
    tokens = Tokens(Source(tmp_path, "makers/old", None, {"model_type": "bert"}), 408)
    assert [tokens.model.encode(text).ids for text in TEXTS] == [made.encode(text).ids for text in TEXTS]
    assert tokens.special == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    write_json(tmp_path / "tokenizer_config.json", {"do_lower_case": False})
    cased = Tokens(Source(tmp_path, "makers/old", None, {"model_type": "bert"}), 408)
    assert cased.model.encode("The").ids != tokens.model.encode("The").ids
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "BertJapaneseTokenizer"})
    with pytest.raises(CannotConvert, match="cuts words as BertJapaneseTokenizer does"):
        Tokens(Source(tmp_path, "makers/old", None, {"model_type": "bert"}), 408)


def test_a_vocabulary_and_merges_are_robertas(tmp_path: Path) -> None:
    made = roberta()
    made.model.save(str(tmp_path))
    tokens = Tokens(Source(tmp_path, "makers/old", None, {"model_type": "roberta"}), 408)
    assert [tokens.model.encode(text).ids for text in TEXTS] == [made.encode(text).ids for text in TEXTS]


def test_t5s_pieces_are_read_with_the_characters_that_they_change(tmp_path: Path) -> None:
    sentencepiece_file(tmp_path / "spiece.model")
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spiece.model"))
    tokens = Tokens(Source(tmp_path, "makers/old", None, {"model_type": "t5"}), 400)
    for text in (*TEXTS, "\uff28\uff41\uff52\uff42\uff4f\uff55\uff52 \u00bd"):  # wide letters, a half
        assert tokens.model.encode(text).ids == [*model.encode(text, out_type=int), model.eos_id()]
    size = model.get_piece_size()
    assert [tokens.token(id) for id in (size, size + 99)] == ["<extra_id_99>", "<extra_id_0>"]


def test_xlm_robertas_pieces_are_counted_as_fairseq_does(tmp_path: Path) -> None:
    sentencepiece_model(tmp_path / "sentencepiece.bpe.model", 300)
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "sentencepiece.bpe.model"))
    tokens = Tokens(Source(tmp_path, "makers/old", None, {"model_type": "xlm-roberta"}), 400)
    for text in TEXTS[:2]:
        assert tokens.model.encode(text).ids == [0, *(id + 1 for id in model.encode(text, out_type=int)), 2]


@pytest.mark.parametrize("cut", [0, 1, 40, 1000, -1])
@pytest.mark.parametrize(("kind", "name"), [("t5", "spiece.model"), ("xlm-roberta", "sentencepiece.bpe.model")])
def test_a_sentencepiece_file_that_is_cut_off_is_one_sentence(tmp_path: Path, kind: str, name: str, cut: int) -> None:
    sentencepiece_file(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:cut] + b"\x1a\xff\xff\xff\xff\x0f")
    with pytest.raises(CannotConvert, match=r"cannot be read|cut off|damaged"):
        Tokens(Source(tmp_path, "makers/old", None, {"model_type": kind}), 400)
