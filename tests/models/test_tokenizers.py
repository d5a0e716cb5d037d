"""Text to ids and back, for the kinds of tokenizer that models bring."""

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from models.cards import ModelCard, TokenizerSpec
from models.tokenizers import HuggingFaceTokenizer, SentencePieceTokenizer, Special, Tokenizer, load_tokenizer
from models.vocabulary import ManifestError, read_vocabulary

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="session")
def word_piece(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceTokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "morning", "##s", "[", "]", "sep", "<", ">", "a"]
    made = tokenizers.Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, **{"unk_token": words[1]}))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.enable_truncation(4)
    made.enable_padding(length=8)
    file = tmp_path_factory.mktemp("word_piece") / "tokenizer.json"
    made.save(str(file))
    return HuggingFaceTokenizer(file)


@pytest.fixture(scope="session")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceTokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    file = tmp_path_factory.mktemp("byte_level") / "tokenizer.json"
    made.save(str(file))
    return HuggingFaceTokenizer(file)


@given(text=ANY_TEXT)
def test_sentencepiece_gives_text_back(tokenizer: SentencePieceTokenizer, text: str) -> None:
    # The tokenizer writes a space as U+2581, so the two are one.
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("\u2581", " ")


@given(text=ANY_TEXT)
def test_byte_level_gives_text_back(byte_level: HuggingFaceTokenizer, text: str) -> None:
    assert byte_level.decode(byte_level.encode(text)) == text


@given(text=st.lists(st.sampled_from(["<s>", "</s>", "<|end|>", "<|user|>", "<unk>", "<0x41>", " a", "<", "|end|>"])))
def test_plain_text_never_yields_control_tokens(tokenizer: SentencePieceTokenizer, text: list[str]) -> None:
    ids = tokenizer.encode("".join(text))
    assert not set(ids) & set(tokenizer.special_tokens.values())
    assert tokenizer.decode(ids) == "".join(text)


def test_plain_text_never_yields_control_tokens_in_tokenizer_json(
    word_piece: HuggingFaceTokenizer, byte_level: HuggingFaceTokenizer
) -> None:
    assert word_piece.tokens(word_piece.encode("good [SEP]")) == ["good", "[", "sep", "]"]
    ids = byte_level.encode("<|im_end|><|im_start|>")
    assert not set(ids) & set(byte_level.special_tokens.values())
    assert byte_level.decode(ids) == "<|im_end|><|im_start|>"


def test_special_segments_become_their_ids(tokenizer: SentencePieceTokenizer, byte_level: HuggingFaceTokenizer) -> None:
    ids = tokenizer.encode_with_specials([Special("<|user|>"), "<|end|> the fox", Special("<|end|>")])
    assert ids[0] == tokenizer.id("<|user|>")
    assert ids[-1] == tokenizer.id("<|end|>")
    assert ids.count(tokenizer.id("<|end|>")) == 1
    assert ids[1:-1] == tokenizer.encode("<|end|> the fox")
    assert byte_level.encode_with_specials([Special("<|im_end|>")]) == [byte_level.id("<|im_end|>")]
    with pytest.raises(KeyError):
        tokenizer.encode_with_specials([Special("the")])


def test_a_row_has_the_tokens_the_file_puts_around_it_and_nothing_is_cut_or_padded(
    word_piece: HuggingFaceTokenizer,
) -> None:
    assert word_piece.tokens(word_piece.encode_row("Good mornings a a")) == [
        "[CLS]", "good", "morning", "##s", "a", "a", "[SEP]",
    ]  # fmt: skip
    assert word_piece.tokens(word_piece.encode_row("")) == ["[CLS]", "[SEP]"]
    assert word_piece.decode(word_piece.encode_row("Good mornings")) == "good mornings"


def test_ids_and_tokens_match_the_vocabulary(
    tokenizer: SentencePieceTokenizer, word_piece: HuggingFaceTokenizer
) -> None:
    ids = tokenizer.encode("the lazy dog \U0001f600")
    assert max(ids) < tokenizer.vocab_size
    assert [tokenizer.id(token) for token in tokenizer.tokens(ids)] == ids
    with pytest.raises(KeyError):
        tokenizer.id("no such token")
    with pytest.raises(IndexError):
        tokenizer.token(tokenizer.vocab_size)
    with pytest.raises(KeyError):
        word_piece.id("no such token")
    with pytest.raises(IndexError):
        word_piece.token(word_piece.vocab_size)


def test_text_that_is_no_unicode_is_refused(tokenizer: SentencePieceTokenizer, byte_level: Tokenizer) -> None:
    for each in (tokenizer, byte_level):
        with pytest.raises(ValueError, match="lone surrogate"):
            each.encode("a\ud800")


def card(folder: Path, spec: TokenizerSpec) -> ModelCard:
    return ModelCard(
        "m", "generation", "f", "", "MIT", 1, 1, "int8", 1, spec, {}, folder=folder
    )  # fmt: skip


def test_a_tokenizer_that_does_not_fit_the_model_is_refused(
    tokenizer: SentencePieceTokenizer, tokenizer_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.model").write_bytes(tokenizer_file.read_bytes())
    (tmp_path / "other").write_text("no tokenizer")
    vocabulary = tokenizer.tokens(range(tokenizer.vocab_size))
    file = tmp_path / "vocabulary.json"
    good = card(tmp_path, TokenizerSpec("sentencepiece", "t.model"))

    file.write_text(json.dumps([*vocabulary, "<pad to a multiple of 8>"]))
    assert load_tokenizer(good).vocab_size == tokenizer.vocab_size
    file.write_text(json.dumps(vocabulary[:-1]))
    with pytest.raises(ManifestError, match="has 400 tokens, the model's vocabulary 399"):
        load_tokenizer(good)
    file.write_text(json.dumps([*vocabulary[:-2], vocabulary[-1], vocabulary[-2]]))
    with pytest.raises(ManifestError, match="the model's vocabulary has"):
        load_tokenizer(good)
    for kind in ("sentencepiece", "huggingface"):
        with pytest.raises(ManifestError, match=f"is not a {kind} tokenizer"):
            load_tokenizer(card(tmp_path, TokenizerSpec(kind, "other")))  # type: ignore[arg-type]


@pytest.mark.parametrize("content", ['["a", "a"]', '{"a": 1}', "[1]", "["])
def test_a_vocabulary_that_is_no_list_of_different_strings_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "shared_vocabulary.json").write_text(content)
    with pytest.raises(ManifestError):
        read_vocabulary(tmp_path)


def test_a_folder_without_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="has no vocabulary"):
        read_vocabulary(tmp_path)
