"""Tokens to text as they come."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tokenizers import SentencePieceTokenizer, Special
from server.tasks.generation.detokenizer import Detokenizer

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=40)


def deltas(tokenizer: SentencePieceTokenizer, ids: Sequence[int], **options: object) -> list[str]:
    detokenizer = Detokenizer(tokenizer, **options)  # type: ignore[arg-type]
    return [*(detokenizer.push(id) for id in ids), detokenizer.finish()]


@given(text=TEXT)
def test_the_deltas_joined_are_the_text(tokenizer: SentencePieceTokenizer, text: str) -> None:
    parts = deltas(tokenizer, tokenizer.encode(text))
    assert "".join(parts) == text
    assert all(part.encode() or part == "" for part in parts)  # each is whole UTF-8
    assert parts[-1] == ""


@given(ids=st.lists(st.integers(0, 399), max_size=30))
def test_any_tokens_streamed_are_the_whole_text(tokenizer: SentencePieceTokenizer, ids: list[int]) -> None:
    assert "".join(deltas(tokenizer, ids)) == tokenizer.decode(ids)


@given(before=TEXT, after=TEXT)
def test_a_text_cut_between_any_tokens_goes_on_with_its_space(
    tokenizer: SentencePieceTokenizer, before: str, after: str
) -> None:
    ids = tokenizer.encode(f"{before} {after}")
    for at in range(1, len(ids)):
        head = b"".join(map(tokenizer.token_bytes, ids[:at])).removeprefix(b" ")
        rest = "".join(deltas(tokenizer, ids[at:], continues_text=True))
        assert rest.encode() == f"{before} {after}".encode()[len(head) :] or "\ufffd" in rest


def test_a_character_of_several_tokens_comes_when_it_is_whole(tokenizer: SentencePieceTokenizer) -> None:
    ids = [tokenizer.id(f"<0x{byte:02X}>") for byte in "€".encode()]
    assert deltas(tokenizer, ids) == ["", "", "€", ""]
    assert deltas(tokenizer, ids[:2]) == ["", "", "\ufffd"]
    assert deltas(tokenizer, [ids[0], tokenizer.id("<0x41>")]) == ["", "\ufffdA", ""]


def test_control_tokens_write_nothing_unless_shown(tokenizer: SentencePieceTokenizer) -> None:
    end = tokenizer.id("<|end|>")
    ids = tokenizer.encode_with_specials(["the fox", Special("<|end|>"), "the dog"])
    assert "".join(deltas(tokenizer, ids)) == "the foxthe dog"
    assert "".join(deltas(tokenizer, ids, shown={end: "[end]"})) == "the fox[end]the dog"


@pytest.mark.parametrize(("continues", "text"), [(False, "fox"), (True, " fox")])
def test_the_first_space_is_text_only_in_the_middle_of_one(
    tokenizer: SentencePieceTokenizer, continues: bool, text: str
) -> None:
    assert "".join(deltas(tokenizer, tokenizer.encode("fox"), continues_text=continues)) == text
