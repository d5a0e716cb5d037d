import pytest

from server.errors import InvalidValue
from server.tasks.services import Services

pytestmark = pytest.mark.anyio

DOCUMENT = "Good morning.\n\n  - I have a dog.\n  - https://example.com/a?b=1\n\n\tHe is here. She is there.\n"


async def test_paragraphs_markers_and_spacing_come_back_as_they_were(services: Services) -> None:
    done = await services.translator(None).translate([DOCUMENT], "en", "de")
    text = done.items[0].text
    assert [len(line) - len(line.lstrip()) for line in text.split("\n")] == [
        len(line) - len(line.lstrip()) for line in DOCUMENT.split("\n")
    ]
    assert "  - https://example.com/a?b=1\n" in text
    assert text.endswith("\n")


async def test_the_streamed_parts_are_the_whole_translation(services: Services) -> None:
    task = services.translator(None)
    texts = [DOCUMENT, "Yes.", ""]
    run = await task.begin(texts, "en", "fr")
    parts = [""] * len(texts)
    async for part in run:
        parts[part.index] += part.text
    assert parts == [item.text for item in run.done().items]
    assert parts == [item.text for item in (await task.translate(texts, "en", "fr")).items]


async def test_each_text_has_its_own_language_detected(services: Services) -> None:
    texts = ["Ich habe heute leider keine Zeit.", "I do not have any time today.", "12345"]
    done = await services.translator(None).translate(texts, None, "en")
    assert [item.source for item in done.items] == ["de", "en", "und"]
    assert [item.text for item in done.items][1:] == texts[1:]
    assert done.items[0].text != texts[0]


async def test_a_pair_that_no_pass_serves_goes_through_a_pivot(services: Services) -> None:
    task = services.translator(None)
    done = await task.translate(["Das ist ein Hund."], "de", "fr")
    english = (await task.translate(["Das ist ein Hund."], "de", "en")).items[0].text
    assert done.items[0].text == (await task.translate([english], "en", "fr")).items[0].text


async def test_alternatives_are_other_translations(services: Services) -> None:
    done = await services.translator(None).translate(["Where is the station?"], "en", "de", alternatives=3)
    assert len({done.items[0].text, *done.items[0].alternatives}) > 1
    assert len(done.items[0].alternatives) == 3


async def test_a_row_does_not_depend_on_its_neighbours(services: Services) -> None:
    task = services.translator(None)
    texts = ["I have a cat.", "The weather is very nice today and we are going to the beach.", "No."]
    together = [item.text for item in (await task.translate(texts, "en", "es")).items]
    alone = [(await task.translate([text], "en", "es")).items[0].text for text in texts]
    assert together == alone


@pytest.mark.parametrize(("source", "target"), [("en", "xx"), ("xx", "de")])
async def test_an_unknown_language_is_refused_by_name(services: Services, source: str, target: str) -> None:
    with pytest.raises(InvalidValue, match="xx"):
        await services.translator(None).translate(["Hello."], source, target)


async def test_confidence_is_a_probability(services: Services) -> None:
    done = await services.translator(None).translate(["Good morning.", "..."], "en", "de")
    assert 0 < done.items[0].confidence < 1
    assert done.items[1].confidence == 1.0
