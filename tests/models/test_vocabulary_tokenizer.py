"""A sentencepiece model that cuts, and a vocabulary of its own: the tokenizers of Marian and M2M100."""

from pathlib import Path

import pytest
import sentencepiece

from models.tokenizers import SentencePieceTokenizer, VocabularyTokenizer
from tests.conftest import SENTENCES

NAMES = [">>fra<<", "__de__"]


def train(folder: Path, name: str, **options: object) -> Path:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_prefix=str(folder / name),
        vocab_size=120,
        hard_vocab_limit=False,
        minloglevel=3,
        **options,
    )
    return folder / f"{name}.model"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[VocabularyTokenizer, SentencePieceTokenizer]:
    folder: Path = tmp_path_factory.mktemp("vocabulary")
    # Some models of Marian's have the names of languages among their pieces.
    file = train(folder, "source", user_defined_symbols=[">>fra<<"])
    plain = SentencePieceTokenizer(file)
    pieces = [plain.token(id) for id in range(plain.vocab_size)]
    kept = [piece for piece in reversed(pieces) if piece not in ("<s>", ">>fra<<", "\u2581M")]
    return VocabularyTokenizer([*NAMES, *kept, "<pad>"], file, train(folder, "target", model_type="bpe")), plain


def test_ids_are_rows_of_the_vocabulary_and_text_comes_back(
    made: tuple[VocabularyTokenizer, SentencePieceTokenizer],
) -> None:
    tokenizer, plain = made
    text = SENTENCES[0]
    ids = tokenizer.encode(text)
    assert tokenizer.tokens(ids) == plain.tokens(plain.encode(text))
    assert ids != plain.encode(text)
    assert [tokenizer.id(token) for token in tokenizer.tokens(ids)] == ids
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("text", [">>fra<< hello", "__de__ hello", "</s> hello <pad>", "<unk>"])
def test_plain_text_never_names_a_language_or_ends_a_row(
    made: tuple[VocabularyTokenizer, SentencePieceTokenizer], text: str
) -> None:
    tokenizer, _ = made
    yielded = set(tokenizer.tokens(tokenizer.encode(text)))
    assert not yielded & {*NAMES, "</s>", "<pad>"}


def test_names_of_languages_and_the_unknown_write_nothing(
    made: tuple[VocabularyTokenizer, SentencePieceTokenizer],
) -> None:
    tokenizer, _ = made
    unknown = tokenizer.encode("\u00a7")  # in no piece
    assert tokenizer.tokens(unknown)[-1] == "<unk>"
    ids = [tokenizer.id("__de__"), *tokenizer.encode("the dog"), *unknown[-1:], tokenizer.id("</s>")]
    assert tokenizer.decode(ids) == "the dog"
