"""A GGUF's tokenizer gives the ids that the original's own library gives, and the text back."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from models.convert.gguf_tokenizer import CUTS, tokenizer_files
from models.tokenizers import HuggingFaceTokenizer
from tests.convert.decoder_repositories import byte_level
from tests.convert.weight_files import llama_facts

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> sentencepiece.SentencePieceProcessor:
    """A sentencepiece BPE as Llama's and Gemma's: bytes for what is unknown, nothing normalized."""
    from models.convert.passage import PASSAGE

    prefix = tmp_path_factory.mktemp("pieces") / "t"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*PASSAGE.split("\n") * 3, *(letter * n for letter in " =" for n in range(1, 40))]),
        model_prefix=str(prefix),
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=["<table>"],
        minloglevel=3,
    )
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")


def facts_of(model: Any) -> dict[str, Any]:
    size = model.get_piece_size()
    tokens = [model.id_to_piece(id) for id in range(size)]
    kinds = [
        2 if model.is_unknown(id) else 3 if model.is_control(id) else 6 if model.is_byte(id) else 1
        for id in range(size)
    ]
    kinds[tokens.index("<table>")] = 4
    scores = [float(model.get_score(id)) for id in range(size)]
    about = {"model": "llama", "tokens": tokens, "token_type": kinds, "scores": scores, "eos_token_id": 2}
    return {f"tokenizer.ggml.{key}": value for key, value in {**about, "unknown_token_id": 0}.items()}


@given(text=st.one_of(ANY_TEXT, st.text(st.sampled_from("abehst  \n<table>▁0é"), max_size=40)))
def test_a_sentencepiece_model_gives_the_same_ids_and_the_text_back(pieces: Any, text: str) -> None:
    if "\0" in text or "▁" in text:  # sentencepiece ends a text at the one, and takes the other for a space
        return
    ours = tokenizers.Tokenizer.from_str(tokenizer_files(facts_of(pieces))["tokenizer.json"])
    wanted = pieces.encode(text, out_type=int)
    assert ours.encode(text, add_special_tokens=False).ids == wanted
    assert ours.decode(wanted) == text


@pytest.mark.parametrize("letter", " =ab")
def test_runs_of_one_letter_are_merged_from_their_left_end(pieces: Any, letter: str) -> None:
    ours = tokenizers.Tokenizer.from_str(tokenizer_files(facts_of(pieces))["tokenizer.json"])
    runs = [letter * n + "x" for n in range(1, 70)]
    assert letter != "=" or max(map(len, pieces.encode(runs[-1], out_type=str))) > 4
    assert [ours.encode(run, add_special_tokens=False).ids for run in runs] == [pieces.encode(run) for run in runs]


def by_score(text: str, scores: Mapping[str, float]) -> list[str]:
    """What sentencepiece does: of all neighbours that make a piece the likeliest become one, of those the leftmost."""
    parts = list(text)
    while True:
        pairs = [(scores[a + b], -i) for i, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in scores]
        if not pairs:
            return parts
        i = -max(pairs)[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def test_pieces_that_are_equally_likely_are_merged_from_the_left() -> None:
    """So are all runs of spaces of Mistral's."""
    tokens = ["<unk>", *("a" * n for n in (2, 4, 8, 14, 16, 13, 12, 3, 9, 5, 6, 10, 7, 11)), "a"]
    scores = dict.fromkeys(tokens, -1e9)
    facts = {"model": "llama", "tokens": tokens, "scores": list(scores.values()), "add_space_prefix": False}
    files = tokenizer_files({f"tokenizer.ggml.{key}": value for key, value in facts.items()})
    ours = tokenizers.Tokenizer.from_str(files["tokenizer.json"])
    for n in range(1, 80):
        assert ours.encode("a" * n).tokens == by_score("a" * n, scores)


def test_every_named_way_to_cut_is_one_that_the_library_knows() -> None:
    for name in CUTS:
        facts = llama_facts() | {"tokenizer.ggml.pre": name}
        made = tokenizers.Tokenizer.from_str(tokenizer_files(facts)["tokenizer.json"])
        text = 'It\'s 12345 naïve\tcafés,\n\n   été漢字 -- "so"🙂'
        assert made.decode(made.encode(text).ids, skip_special_tokens=False) == text, name


def test_what_a_gguf_recommends_for_sampling_is_its_generation_config() -> None:
    names = {"general.sampling.temp": 0.6, "general.sampling.top_k": 20, "general.sampling.penalty_repeat": 1.1}
    config = json.loads(tokenizer_files({**llama_facts(), **names})["generation_config.json"])
    assert {key: config[key] for key in ("temperature", "top_k", "repetition_penalty")} == {
        "temperature": 0.6,
        "top_k": 20,
        "repetition_penalty": 1.1,
    }


def test_runs_of_spaces_that_are_tokens_of_their_own_come_back_as_spaces(tmp_path: Path) -> None:
    """Gemma has them as added tokens that are not special, written with the mark of a space."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE({"▁": 0, "a": 1, "▁▁▁▁": 2, "<b>": 3}, []))
    made.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    made.decoder = tokenizers.decoders.Sequence(
        [tokenizers.decoders.Replace("▁", " "), tokenizers.decoders.ByteFallback(), tokenizers.decoders.Fuse()]
    )
    made.add_tokens([tokenizers.AddedToken(text, normalized=False) for text in ("▁▁▁▁", "<b>")])
    made.save(str(tmp_path / "tokenizer.json"))
    ours = HuggingFaceTokenizer(tmp_path / "tokenizer.json")
    assert ours.decode([2, 1, 0, 3]) == "    a <b>" == made.decode([2, 1, 0, 3])
    assert b"".join(map(ours.token_bytes, [2, 1])) == b"    a"


def test_added_tokens_of_byte_level_tokenizers_stand_for_themselves(tmp_path: Path) -> None:
    made = byte_level()
    made.add_tokens(["<é ß>", "naïve"])
    made.save(str(tmp_path / "tokenizer.json"))
    ours = HuggingFaceTokenizer(tmp_path / "tokenizer.json")
    for text in ("<é ß>", "<tool_call>", "naïve"):
        id = made.token_to_id(text)
        assert ours.decode([id]) == made.decode([id], skip_special_tokens=False)
