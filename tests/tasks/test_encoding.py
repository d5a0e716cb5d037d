import numpy as np
import pytest

from server.errors import InputTooLong, InvalidValue
from server.tasks.services import Services

pytestmark = pytest.mark.anyio


async def test_plain_texts_get_their_mood(services: Services) -> None:
    done = await services.classifier(None, "sentiment").classify(["I love it!", "This is horrible."])
    assert [item.label for item in done.items] == ["positive", "negative"]
    assert all(abs(sum(item.scores.values()) - 1) < 1e-5 for item in done.items)


async def test_a_list_gets_what_its_texts_get_alone(services: Services) -> None:
    """int8 activations are quantized a row at a time: batch mates change nothing but rounding."""
    texts = ["fine", "The waiter was rude and the soup was cold, but the view made up for it.", "ok then"] * 5
    task = services.classifier(None, "sentiment")
    together = (await task.classify(texts)).items
    for text, scored in zip(texts[:3], together[:3], strict=True):
        alone = (await task.classify([text])).items[0]
        assert np.allclose(list(alone.scores.values()), list(scored.scores.values()), atol=0.02)


async def test_an_embedding_has_length_one_and_is_the_same_each_time(services: Services) -> None:
    task = services.embedder(None)
    first = (await task.embed(["hello world"])).items[0]
    again = (await task.embed(["hello world"])).items[0]
    assert abs(float(np.linalg.norm(first)) - 1) < 1e-5
    assert np.array_equal(first, again)


async def test_ids_embed_as_their_text_does(services: Services) -> None:
    task = services.embedder(None)
    ids = services.models["embed"].tokenizer.encode_row("hello world")
    done = await task.embed(["hello world", ids])
    assert np.allclose(done.items[0], done.items[1], atol=1e-6)
    assert done.usage.prompt_tokens == 2 * len(ids)


async def test_a_text_that_is_too_long_is_named_and_costs_nothing(services: Services) -> None:
    with pytest.raises(InputTooLong) as refused:
        await services.classifier(None, "sentiment").classify(["fine", "word " * 2000])
    assert refused.value.index == 1
    assert services.models["sentiment"].batcher.waiting == (0, 0, 0)


@pytest.mark.parametrize("bad", ["", "  \n"])
async def test_an_empty_text_is_refused(services: Services, bad: str) -> None:
    with pytest.raises(InvalidValue):
        await services.classifier(None, "sentiment").classify(["fine", bad])


@pytest.mark.parametrize("ids", [[], [-1], [10**9]])
async def test_ids_that_are_none_never_reach_the_engine(services: Services, ids: list[int]) -> None:
    with pytest.raises(InvalidValue):
        await services.embedder(None).embed([ids])
