"""Our own translation endpoint, whole and as a stream. The scripted translator gives the source back."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

TEXT = "Good morning. How are you?\n\nFine, thanks!"


async def translate(served: Any, given: Any = TEXT, **fields: Any) -> dict[str, Any]:
    body = {"model": "translate", "input": given, "source": "en", "target": "de", **fields}
    response = await served.post("/v1/translations", **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_translation_has_its_shape(served: Any) -> None:
    answer = await translate(served)
    assert answer["id"].startswith("trans-")
    assert answer["object"] == "list"
    [item] = answer["data"]
    assert item["text"] == TEXT
    assert (item["source"], item["target"], item["detected"], item["alternatives"]) == ("en", "de", None, [])
    assert 0 < item["confidence"] <= 1
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_list_comes_back_in_its_order(served: Any) -> None:
    texts = ["One dog.", "Two cats.", "Three birds."]
    answer = await translate(served, texts)
    assert [(item["index"], item["text"]) for item in answer["data"]] == list(enumerate(texts))


async def test_the_source_is_detected_for_each_text(served: Any) -> None:
    texts = ["How are you today, my friend?", "Wie geht es dir heute, mein Freund?"]
    for source in ({"source": "auto"}, {"source": None}):
        answer = await translate(served, texts, target="fr", **source)
        assert [item["source"] for item in answer["data"]] == ["en", "de"]
        assert [item["detected"]["language"] for item in answer["data"]] == ["en", "de"]
        assert all(item["detected"]["confidence"] > 0.5 for item in answer["data"])


async def test_alternatives_are_as_many_as_asked(served: Any) -> None:
    assert len((await translate(served, alternatives=2))["data"][0]["alternatives"]) == 2


async def test_a_stream_is_the_whole_translation_in_parts(served: Any) -> None:
    body = {"input": [TEXT, "Hello."], "source": "en", "target": "de", "stream": True}
    response = await served.post("/v1/translations", **body)
    *lines, last = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert last == "[DONE]"
    *chunks, final = [json.loads(line) for line in lines]
    whole = await translate(served, [TEXT, "Hello."])
    texts = ["", ""]
    for chunk in chunks:
        for part in chunk["data"]:
            texts[part["index"]] += part["text"]
    assert texts == [item["text"] for item in whole["data"]]
    assert final["data"] == whole["data"]
    assert final["usage"] == whole["usage"]
    assert len({(chunk["id"], chunk["created"], chunk["object"]) for chunk in [*chunks, final]}) == 1
    assert served.metrics.value("translated_characters_total", "en", "de") == 2 * len(TEXT + "Hello.")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"target": None}, "target"),
        ({"target": "xx"}, "target"),
        ({"source": "xx"}, "source"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [1]}, "input"),
        ({"input": {}}, "input"),
        ({"format": "pdf"}, "format"),
        ({"alternatives": 6}, "alternatives"),
        ({"alternatives": 1, "stream": True}, "alternatives"),
        ({"beam_size": 0}, "beam_size"),
        ({"beam_size": 6}, "beam_size"),
        ({"beam_size": 2, "alternatives": 2}, "beam_size"),
        ({"glossary": [{"source": "dog"}]}, "glossary.0.target"),
        ({"glossary": [{"source": "", "target": "x"}]}, "glossary.0.source"),
        ({"glossary": [{"source": "a", "target": "b", "note": "c"}]}, "glossary.0.note"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(served: Any, fields: dict[str, Any], param: str) -> None:
    body = {"input": "Hello.", "source": "en", "target": "de", **fields}
    response = await served.post("/v1/translations", **body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("text", ["", " ", "123", "😀"])
async def test_a_text_with_nothing_to_translate_comes_back(served: Any, text: str) -> None:
    assert (await translate(served, text))["data"][0]["text"] == text


MARKDOWN = (
    "# Title\n\n- [ ] Buy **milk**\n- [x] Done [here](https://a.example)\n\n| House | Cat |\n|---|---|\n\n    code\n"
)


async def test_markdown_stays_markdown_whole_and_in_parts(served: Any) -> None:
    item = (await translate(served, MARKDOWN, format="markdown", alternatives=1))["data"][0]
    assert item["text"] == MARKDOWN
    assert len(item["alternatives"]) == 1
    body = {"input": MARKDOWN, "source": "en", "target": "de", "stream": True, "format": "markdown"}
    response = await served.post("/v1/translations", **body)
    *lines, last = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    *chunks, final = [json.loads(line) for line in lines]
    assert last == "[DONE]"
    assert "".join(part["text"] for chunk in chunks for part in chunk["data"]) == MARKDOWN
    assert final["data"][0]["text"] == MARKDOWN


async def test_html_stays_html(served: Any) -> None:
    page = "<p class=a>Good <b>morning</b> &amp; hello.<br/>See <code>x&lt;y</code></p><!-- no --><script>a<b</script>"
    assert (await translate(served, page, format="html"))["data"][0]["text"] == page


async def test_a_glossary_is_kept_to(served: Any) -> None:
    terms = [{"source": "dog", "target": "Köter"}, {"source": "Acme", "target": "Acme"}]
    answer = await translate(served, "The dog of Acme sleeps.", glossary=terms)
    assert answer["data"][0]["text"] == "The Köter of Acme sleeps."


async def test_a_pivot_is_said(served: Any) -> None:
    assert (await translate(served))["data"][0]["pivot"] is None
    assert (await translate(served, source="de", target="fr"))["data"][0]["pivot"] == "en"


async def test_a_copy_of_the_source_is_tried_again_and_flagged(served: Any) -> None:
    answer = await translate(served, ["We like to go there.", "OK."])
    assert [item["flags"] for item in answer["data"]] == [["untranslated"], []]


@pytest.mark.parametrize("target", ["de-DE", "de_AT", "DE", "de"])
async def test_a_region_that_is_not_served_does_not_count(served: Any, target: str) -> None:
    answer = await translate(served, target=target, source="en-GB")
    assert answer["data"][0]["target"] == "de"
    assert answer["data"][0]["source"] == "en"
    libre = await served.post("/translate", q=TEXT, source="en-US", target=target)
    assert libre.status_code == 200, libre.text
    for unknown in ("dex", "de2-DE", "-de", "pt-BR"):
        refused = await served.post("/v1/translations", input=TEXT, source="en", target=unknown)
        assert refused.json()["error"]["param"] == "target"
        assert unknown in refused.json()["error"]["message"]


async def test_deepl_clients_are_told_that_there_are_no_glossaries(served: Any) -> None:
    for version in ("v2", "v3"):
        listed = await served.http.get(f"/{version}/glossaries")
        assert (listed.status_code, listed.json()) == (200, {"glossaries": []})
        assert "glossaries" in (await served.post(f"/{version}/glossaries", name="x")).json()["message"]
        assert set((await served.http.get(f"/{version}/glossaries/some-id")).json()) == {"message"}
