"""The parts of the classifier recipes that need torch: encoder, conversion, training. Skipped without it."""

# ruff: noqa: E402  # what needs torch is imported once it is known to be there

import argparse
import dataclasses
import json
import random
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from tokenizers import Tokenizer

from models.recipes.classifier.average import COPIED, average, state_of
from models.recipes.classifier.command import fit, training_options
from models.recipes.classifier.convert import read_trained
from models.recipes.classifier.emoji import emoji_characters, start_emoji_rows, with_emoji
from models.recipes.classifier.encoder import EncoderShape, SentenceEncoder
from models.recipes.classifier.heads import Head, divergence_rows, loss_rows
from models.recipes.classifier.infer import EngineEncoder
from models.recipes.classifier.numpy_head import NumpyHead
from models.recipes.classifier.reference import torch_pooled
from models.recipes.classifier.rows import Row, write_rows
from models.recipes.classifier.tokens import encode_rows, vocabulary_in_order
from models.recipes.classifier.train import ClassifierRun, Settings
from models.recipes.classifier.weights import encoder_from_ctranslate2, write_ctranslate2

WORDS = ["good", "bad", "film", "food", "heart", "red", "great", "awful", "the", "was"]
SHAPE = EncoderShape(len(WORDS) + 45, positions=32, width=16, feed_forward_width=32, layers=2, attention_heads=2)


@pytest.fixture
def base_file(tmp_path):
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokens = [*specials, "❤", *(f"[unused{i}]" for i in range(40)), *WORDS]
    vocabulary = {token: row for row, token in enumerate(tokens)}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    around = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    file = tmp_path / "base.json"
    description = {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": token, **added} for i, token in enumerate(specials)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": around,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
    file.write_text(json.dumps(description), encoding="utf-8")
    return file


@pytest.fixture
def encoder():
    torch.manual_seed(1)
    return SentenceEncoder(SHAPE).eval()


def test_emoji_take_unused_rows_and_split_words(base_file):
    base, tokenizer = Tokenizer.from_file(str(base_file)), with_emoji(base_file)
    assert tokenizer.get_vocab_size() == base.get_vocab_size()
    first = next(character for character in emoji_characters() if character != "❤")
    assert tokenizer.encode(f"good{first}film❤").tokens == ["[CLS]", "good", first, "film", "❤", "[SEP]"]
    assert with_emoji_of(tokenizer, base_file).get_vocab() == tokenizer.get_vocab()


def with_emoji_of(tokenizer, base_file):
    """The rows must stay where they are when the tokenizer of a finished model is taught again."""
    again = base_file.with_name("again.json")
    tokenizer.save(str(again))
    return with_emoji(again)


def test_a_new_emoji_starts_as_the_mean_of_its_name_and_a_known_one_stays(base_file, encoder):
    base, tokenizer = Tokenizer.from_file(str(base_file)), with_emoji(base_file)
    words = encoder.words.weight
    known = words[base.token_to_id("❤")].detach().clone()
    start_emoji_rows(encoder, base, tokenizer)
    assert torch.equal(words[base.token_to_id("❤")], known)
    heart_suit = words[[base.token_to_id("heart"), base.token_to_id("[UNK]")]].mean(dim=0)
    assert torch.allclose(words[tokenizer.token_to_id("♥")], heart_suit)


@pytest.mark.parametrize(("quantization", "difference"), [("float32", 1e-5), ("int8_float32", 0.1)])
def test_the_converted_encoder_gives_the_same_vectors(tmp_path, base_file, encoder, quantization, difference):
    tokenizer = with_emoji(base_file)
    write_ctranslate2(encoder, vocabulary_in_order(tokenizer), tmp_path / "model", quantization)
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    texts = ["the food was good", "bad", "the film was awful the food was great", ""]
    converted = EngineEncoder(tmp_path / "model", limit_tokens=8).pooled(texts)
    expected = torch_pooled(encoder, encode_rows(tokenizer, texts, 8))
    assert np.abs(converted - expected).max() < difference
    back = encoder_from_ctranslate2(tmp_path / "model")
    assert back.shape == SHAPE
    returned = torch_pooled(back, encode_rows(tokenizer, texts, 8))
    assert np.abs(returned - expected).max() < difference


def test_torch_and_numpy_heads_agree(tmp_path):
    head = Head(16, 3).eval()
    head.save(tmp_path / "h.npz")
    vectors = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    with torch.inference_mode():
        expected = head(torch.from_numpy(vectors)).numpy()
    assert np.abs(NumpyHead.load(tmp_path / "h.npz").logits(vectors) - expected).max() < 1e-5


def test_what_is_not_annotated_costs_nothing():
    logits = torch.tensor([[2.0, 50.0, -1.0]])
    unknown = torch.tensor([[1.0, float("nan"), 0.0]])
    softmax = loss_rows(logits, unknown, "softmax", 0.0)
    assert softmax.item() == pytest.approx(np.log1p(np.exp(-3.0)), rel=1e-5)
    sigmoid = loss_rows(logits, unknown, "sigmoid", 0.0)
    assert sigmoid.item() == pytest.approx(np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0)), rel=1e-5)


def trained(work, base_file, settings, rows, allowed_s=float("inf"), resumed=False):
    """A run of some rows, from the same start each time."""
    work.mkdir(exist_ok=True)
    torch.manual_seed(1)
    run = ClassifierRun(SentenceEncoder(SHAPE), with_emoji(base_file), settings, work, "cpu")
    assert run.resume() == resumed
    run.fit(rows, allowed_s)
    return run


def test_a_run_that_was_cut_off_ends_where_an_uncut_one_ends(tmp_path, base_file, monkeypatch):
    rows = [Row(f"the {WORDS[i % 6]} was {WORDS[i % 10]}", {"no": i % 2, "yes": 1 - i % 2}) for i in range(96)]
    settings = Settings(("no", "yes"), "softmax", epochs=3, batch_rows=8, learning_rate=3e-3, consistency=1.0)
    losses: list[float] = []
    step = ClassifierRun._step

    def recorded(run, ids, targets):
        losses.append(step(run, ids, targets))
        if len(losses) == cut_at:
            signal.raise_signal(signal.SIGTERM)
        return losses[-1]

    monkeypatch.setattr(ClassifierRun, "_step", recorded)
    cut_at = None
    whole = trained(tmp_path / "whole", base_file, settings, rows)
    uncut, losses = losses, []
    cut_at = 17
    trained(tmp_path / "cut", base_file, settings, rows)
    assert len(losses) == 17
    torch.manual_seed(99)
    resumed = trained(tmp_path / "cut", base_file, settings, rows, resumed=True)
    assert losses == uncut
    for name, parameter in whole.encoder.named_parameters():
        assert torch.equal(parameter, resumed.encoder.get_parameter(name)), name


def command_line(settings, work, init, *more):
    """Options as the train step reads them."""
    parser = argparse.ArgumentParser()
    training_options(parser, settings)
    return parser.parse_args(["--work", str(work), "--init", str(init), *more])


def test_another_round_begins_where_one_ended(tmp_path, base_file):
    rows = [Row(f"the {WORDS[i % 6]} was {WORDS[i % 10]}", {"no": i % 2, "yes": 1 - i % 2}) for i in range(48)]
    settings = Settings(("no", "yes"), "softmax", epochs=1, batch_rows=8)
    one, two, mean = (tmp_path / name for name in ("one", "two", "mean"))
    ended = trained(one, base_file, settings, rows)
    ended.tokenizer.save(str(one / "tokenizer.json"))
    for work in (one, two):
        work.mkdir(exist_ok=True)
        write_rows(work / "train.jsonl", rows)
        write_rows(work / "dev.jsonl", rows[:8])
    fit(settings, command_line(settings, two, one, "--minutes", "0"))  # no time for a step: it ends as it begins
    average([one, two], mean)
    for work in (two, mean):
        begun = read_trained(work, 2)
        assert all(torch.equal(begun.encoder.get_parameter(n), p) for n, p in ended.encoder.named_parameters())
        assert torch.equal(begun.head.out.weight, ended.head.out.weight)
    fit(settings, command_line(settings, two, one, "--seed", "8", "--consistency", "1"))
    assert not torch.equal(read_trained(two, 2).head.out.weight, ended.head.out.weight)
    with pytest.raises(SystemExit, match="no run that could go on"):
        fit(settings, command_line(settings, mean, one))
    with pytest.raises(SystemExit, match="has 2 labels, this one 3"):
        fit(dataclasses.replace(settings, labels=("a", "b", "c")), command_line(settings, tmp_path, mean))


def test_the_mean_of_two_rounds_lies_between_them(tmp_path, base_file):
    rows = [Row(f"the {WORDS[i % 6]} was {WORDS[i % 10]}", {"no": i % 2, "yes": 1 - i % 2}) for i in range(48)]
    runs = []
    for seed in (1, 2):
        settings = Settings(("no", "yes"), "softmax", epochs=1, batch_rows=8, seed=seed)
        folder = tmp_path / str(seed)
        runs.append(trained(folder, base_file, settings, rows))
        for name in COPIED:
            (folder / name).write_text("{}")
    average([tmp_path / "1", tmp_path / "2"], tmp_path / "mean")
    mean = read_trained(tmp_path / "mean", 2)
    for part in ("encoder", "head"):
        first, second = (getattr(run, part).state_dict() for run in runs)
        for name, value in getattr(mean, part).state_dict().items():
            assert torch.allclose(value, (first[name] + second[name]) / 2, atol=1e-7), name
    average([tmp_path / "1", tmp_path / "2"], tmp_path / "mean", [3, 1])
    first, second = (run.head.state_dict()["out.weight"] for run in runs)
    assert torch.allclose(read_trained(tmp_path / "mean", 2).head.out.weight, 0.75 * first + 0.25 * second, atol=1e-7)
    with pytest.raises(SystemExit, match="2 rounds and 1 weights"):
        average([tmp_path / "1", tmp_path / "2"], tmp_path / "mean", [1])
    with pytest.raises(SystemExit, match="no checkpoint"):
        average([tmp_path / "nowhere"], tmp_path / "mean")


def test_a_shipped_folder_is_a_round(tmp_path, base_file):
    rows = [Row(f"the {WORDS[i % 6]}", {"no": i % 2, "yes": 1 - i % 2}) for i in range(16)]
    run = trained(tmp_path / "work", base_file, Settings(("no", "yes"), "softmax", epochs=1, batch_rows=8), rows)
    write_ctranslate2(run.encoder, vocabulary_in_order(run.tokenizer), tmp_path / "model", "float32")
    run.head.save(tmp_path / "model" / "own.npz")
    state = state_of(tmp_path / "model")
    assert all(torch.equal(state["encoder"][name], value) for name, value in run.encoder.state_dict().items())
    assert all(torch.equal(state["head"][name], value) for name, value in run.head.state_dict().items())


def test_frozen_layers_and_embeddings_stay_as_they_are(tmp_path, base_file, encoder):
    rows = [Row(f"the {WORDS[i % 6]}", {"no": i % 2, "yes": 1 - i % 2}) for i in range(16)]
    settings = Settings(("no", "yes"), "softmax", epochs=1, batch_rows=8, frozen_layers=1)
    begun = trained(tmp_path / "begun", base_file, settings, [])
    ended = trained(tmp_path / "ended", base_file, settings, rows)
    before = begun.encoder.state_dict()
    learnt = {name for name, value in ended.encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert learnt
    assert all(name.startswith("layers.1.") for name in learnt)


def test_two_passes_that_agree_do_not_diverge_and_two_that_differ_do():
    one, other = torch.tensor([[2.0, 0.5, -1.0]]), torch.tensor([[1.0, 50.0, 0.5]])
    half_known = torch.tensor([[1.0, float("nan"), 0.0]])
    p, q = one[:, ::2].softmax(1), other[:, ::2].softmax(1)
    expected = 0.5 * ((p * (p / q).log()).sum() + (q * (q / p).log()).sum())
    assert divergence_rows(one, other, half_known, "softmax").item() == pytest.approx(expected.item(), rel=1e-5)
    a, b = one[0, 0].sigmoid(), other[0, 0].sigmoid()
    rest = one[0, 2].sigmoid(), other[0, 2].sigmoid()
    pairs = [(a, b), rest]
    both = sum((x - y) * ((x / y).log() - ((1 - x) / (1 - y)).log()) / 2 for x, y in pairs)
    assert divergence_rows(one, other, half_known, "sigmoid").item() == pytest.approx(both.item(), rel=1e-5)
    assert divergence_rows(one, one, half_known, "softmax").item() == 0.0


def test_a_run_learns_and_goes_on_from_its_checkpoint(tmp_path, base_file, encoder):
    rng = random.Random(0)
    rows = [
        Row(f"the {rng.choice(['film', 'food'])} was {word}", {"no": int(not good), "yes": int(good)})
        for word, good in (("good", True), ("great", True), ("bad", False), ("awful", False))
        for _ in range(40)
    ]
    settings = Settings(("no", "yes"), "softmax", epochs=6, batch_rows=8, learning_rate=3e-3, smoothing=0.0)
    run = ClassifierRun(encoder, with_emoji(base_file), settings, tmp_path, "cpu")
    run.fit(rows, float("inf"))
    ids = torch.tensor(encode_rows(run.tokenizer, ["the food was great", "the film was awful"], 16))
    run.encoder.eval()
    run.head.eval()
    with torch.inference_mode():
        assert run.head(run.encoder(ids).mean(dim=1)).argmax(dim=1).tolist() == [1, 0]
    again = ClassifierRun(SentenceEncoder(SHAPE), with_emoji(base_file), settings, tmp_path, "cpu")
    assert again.resume()
    assert again.progress == run.progress
    assert torch.equal(again.encoder.words.weight, run.encoder.words.weight)
