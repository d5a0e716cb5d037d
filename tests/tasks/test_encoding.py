import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.cards import HeadSpec
from server.errors import InputTooLong, InvalidValue
from server.serving.registry import ModelRegistry
from server.tasks import encoding
from server.tasks.encoding import Classification, Head
from server.tasks.text.sentences import chunk

pytestmark = pytest.mark.anyio


async def test_plain_texts_get_their_mood(registry: ModelRegistry) -> None:
    done = await registry.classifier(None, "sentiment").classify(["I love it!", "This is horrible."])
    assert [item.label for item in done.items] == ["positive", "negative"]
    assert all(abs(sum(item.scores.values()) - 1) < 1e-5 for item in done.items)


async def test_a_list_gets_what_its_texts_get_alone(registry: ModelRegistry) -> None:
    """int8 activations are quantized a row at a time: batch mates change nothing but rounding."""
    texts = ["fine", "The waiter was rude and the soup was cold, but the view made up for it.", "ok then"] * 5
    task = registry.classifier(None, "sentiment")
    together = (await task.classify(texts)).items
    for text, scored in zip(texts[:3], together[:3], strict=True):
        alone = (await task.classify([text])).items[0]
        assert np.allclose(list(alone.scores.values()), list(scored.scores.values()), atol=0.02)


async def test_an_embedding_has_length_one_and_is_the_same_each_time(registry: ModelRegistry) -> None:
    task = registry.embedder(None)
    first = (await task.embed(["hello world"])).items[0]
    again = (await task.embed(["hello world"])).items[0]
    assert abs(float(np.linalg.norm(first)) - 1) < 1e-5
    assert np.array_equal(first, again)


async def test_ids_embed_as_their_text_does(registry: ModelRegistry) -> None:
    task = registry.embedder(None)
    ids = registry.models["embed"].tokenizer.encode_row("hello world")
    done = await task.embed(["hello world", ids])
    assert np.allclose(done.items[0], done.items[1], atol=1e-6)
    assert done.usage.prompt_tokens == 2 * len(ids)


async def test_a_text_that_is_too_long_to_embed_is_named_and_costs_nothing(registry: ModelRegistry) -> None:
    with pytest.raises(InputTooLong) as refused:
        await registry.embedder(None).embed(["fine", "word " * 2000])
    assert refused.value.index == 1
    assert registry.models["embed"].batcher.waiting == (0, 0, 0)


GOOD = "The food was wonderful and everybody was kind. "
BAD = "The room was filthy and the waiter was rude. "


async def test_a_long_text_is_read_to_its_end(registry: ModelRegistry) -> None:
    """A reading of the first chunk alone, or of the last, would call one of these by its own half."""
    task = registry.classifier(None, "sentiment")
    good, bad, mixed = (await task.classify([GOOD, BAD, GOOD * 30 + BAD * 30])).items
    assert (good.chunks, bad.chunks) == (1, 1)
    assert mixed.chunks == 14  # of four or five sentences each: 46 tokens at most
    assert 0.2 < mixed.scores["positive"] < 0.8
    assert 0.2 < mixed.scores["negative"] < 0.8
    assert sum(mixed.scores.values()) == pytest.approx(1, abs=1e-5)


async def test_the_chunks_of_a_softmax_count_by_their_tokens(registry: ModelRegistry) -> None:
    task = registry.classifier(None, "sentiment")
    tokenizer = registry.models["sentiment"].tokenizer
    text = GOOD * 30 + BAD * 14
    parts = chunk(text, "en", lambda part: len(tokenizer.encode(part)), 46)
    tokens = [len(tokenizer.encode_row(part)) for part in parts]
    apart = await task.classify(parts)
    whole = await task.classify([text])
    for label, score in whole.items[0].scores.items():
        mean = np.average([item.scores[label] for item in apart.items], weights=tokens)
        assert score == pytest.approx(float(mean), abs=0.02)
    assert whole.usage.prompt_tokens == apart.usage.prompt_tokens == sum(tokens)


async def test_one_harmful_sentence_counts_wherever_it_stands_in_a_long_text(registry: ModelRegistry) -> None:
    task = registry.classifier(None, "moderation")
    plain = "The meeting starts at nine and the agenda is on the second page. " * 40
    harm = "You are a stupid bitch and everybody hates you."
    clean, *harmful = (await task.classify([plain, harm + " " + plain, plain + harm])).items
    assert clean.chunks > 1, clean.scores
    threshold = task.head.spec.thresholds["harassment"]
    assert clean.scores["harassment"] < threshold
    assert all(item.scores["harassment"] > threshold for item in harmful)


async def test_a_head_of_independent_labels_takes_the_largest_of_each(tmp_path: Path) -> None:
    np.savez(tmp_path / "head.npz", weight=np.zeros((2, 4), np.float32), bias=np.zeros(2, np.float32))
    head = Head(HeadSpec("h", ("a", "b"), "sigmoid", "mean", "head.npz"), tmp_path)
    pooled = head.pool(np.array([[0.1, 0.6], [0.9, 0.2]], np.float32), [100, 1])
    assert pooled.tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize(("width", "aside"), [(8, False), (8192, True)])
async def test_a_head_that_computes_for_long_does_so_beside_the_event_loop(
    registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, aside: bool
) -> None:
    threads: list[int] = []

    def relu(hidden: np.ndarray) -> np.ndarray:
        threads.append(threading.get_ident())
        return np.maximum(hidden, 0)

    monkeypatch.setitem(encoding.ACTIVATIONS, "relu", relu)  # type: ignore[arg-type]
    dense = {"dense_weight": np.ones((width, 384), np.float32), "dense_bias": np.zeros(width, np.float32)}
    np.savez(tmp_path / "head.npz", weight=np.ones((2, width), np.float32), bias=np.zeros(2, np.float32), **dense)
    head = Head(HeadSpec("h", ("a", "b"), "sigmoid", "cls", "head.npz", "relu"), tmp_path)
    await Classification(registry.models["sentiment"], head).classify(["fine", "bad"])
    assert [thread != threading.get_ident() for thread in threads] == [aside]


async def test_texts_of_one_request_keep_their_own_chunks(registry: ModelRegistry) -> None:
    task = registry.classifier(None, "sentiment")
    items = (await task.classify([GOOD * 60, BAD, BAD * 60, GOOD])).items
    assert [item.label for item in items] == ["positive", "negative", "negative", "positive"]
    assert [item.chunks > 1 for item in items] == [True, False, True, False]


@pytest.mark.parametrize("bad", ["", "  \n"])
async def test_an_empty_text_is_refused(registry: ModelRegistry, bad: str) -> None:
    with pytest.raises(InvalidValue):
        await registry.classifier(None, "sentiment").classify(["fine", bad])


@pytest.mark.parametrize("ids", [[], [-1], [10**9]])
async def test_ids_that_are_none_never_reach_the_engine(registry: ModelRegistry, ids: list[int]) -> None:
    with pytest.raises(InvalidValue):
        await registry.embedder(None).embed([ids])


READS = {"sentiment": ("en",), "second": ("de", "fr")}


@pytest.fixture
def readers(registry: ModelRegistry) -> ModelRegistry:
    """Two classifiers of mood that read different languages."""
    model = registry.models["sentiment"]
    [spec] = model.card.heads
    made = []
    for name, languages in READS.items():
        head = replace(spec, languages=languages)
        made.append(replace(model, card=replace(model.card, id=name, heads=(head,))))
    return ModelRegistry(made)


@pytest.mark.parametrize("name", [None, "sentiment", "second"])
async def test_each_text_is_read_by_the_model_of_its_language(readers: ModelRegistry, name: str | None) -> None:
    texts = ["I love it!", "Das Essen war kalt.", "This is horrible.", "Le service est nul.", "Il cibo era freddo."]
    task = readers.classifier(name, "sentiment")
    done = await task.classify(texts)
    assert [item.language for item in done.items] == ["en", "de", "en", "fr", "it"]
    assert [item.model for item in done.items[:4]] == ["sentiment", "second", "sentiment", "second"]
    assert done.items[4].model == (name or "sentiment")
    assert [list(item.flags) for item in done.items] == [[], [], [], [], ["unsupported_language"]]
    assert [item.label for item in done.items if item.language == "en"] == ["positive", "negative"]
    tokenizer = readers.models["sentiment"].tokenizer
    assert done.usage.prompt_tokens == sum(len(tokenizer.encode_row(text)) for text in texts)


async def test_a_text_that_is_refused_is_named_by_its_place_and_costs_nothing(readers: ModelRegistry) -> None:
    with pytest.raises(InvalidValue, match="Input 2"):
        await readers.classifier("second", "sentiment").classify(["I love it!", "Das Essen war kalt.", " "])
    assert all(model.batcher.waiting == (0, 0, 0) for model in readers.models.values())


async def test_a_model_that_a_request_may_not_use_reads_nothing_of_it(readers: ModelRegistry) -> None:
    task = readers.only(lambda name: name == "sentiment").classifier(None, "sentiment")
    [item] = (await task.classify(["Das Essen war kalt."])).items
    assert (item.model, item.language, list(item.flags)) == ("sentiment", "de", ["unsupported_language"])


async def test_a_classifier_that_names_no_languages_takes_every_text(registry: ModelRegistry) -> None:
    [item] = (await registry.classifier("moderation").classify(["Il cibo era freddo."])).items
    assert (item.model, item.language, list(item.flags)) == ("moderation", None, [])
