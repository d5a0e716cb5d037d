"""Fixtures for tests of several packages."""

import os
import tempfile
from pathlib import Path

import pytest
import sentencepiece

# Before anything of the server is imported: what a person has pulled or trained here is no part of the tests.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="hearth-tests-")

from models.tokenizers import SentencePieceTokenizer

CONTROL_TOKENS = ["<|user|>", "<|assistant|>", "<|end|>"]
SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "Guten Morgen, wie geht es dir heute?",
    "¿Cómo está usted? Muy bien, gracias.",
    "Je suis très content de vous voir aujourd'hui.",
    "She sells 12 sea shells by the sea shore, doesn't she?",
]


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sentencepiece model with byte fallback, trained in a moment."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        control_symbols=CONTROL_TOKENS,
        minloglevel=3,
    )
    return folder / "tokenizer.model"


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> SentencePieceTokenizer:
    """The tokenizer of that file."""
    return SentencePieceTokenizer(tokenizer_file)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"
