"""``POST /v1/summaries``: shapes, both modes, refusals."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

NOTE = (
    "CHIEF COMPLAINT\n\nCough for 3 weeks.\n\nASSESSMENT\n\nThe patient has a viral infection of the airways, and no "
    "fever. He takes aspirin 81 mg a day. He has lost some weight since his last visit in the summer.\n"
)


async def summarize(served: Any, given: Any = NOTE, **fields: Any) -> dict[str, Any]:
    response = await served.post("/v1/summaries", input=given, **fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_an_extractive_summary_is_sentences_of_the_text_at_their_places(served: Any) -> None:
    answer = await summarize(served, max_sentences=2)
    (item,) = answer["data"]
    assert answer["id"].startswith("summ-")
    assert answer["model"] == "embed"
    assert (item["mode"], item["language"], item["checks"], item["truncated"]) == ("extractive", "en", [], False)
    assert [section["heading"] for section in item["sections"]] == ["CHIEF COMPLAINT", "ASSESSMENT"]
    assert [sentence["section"] for sentence in item["sentences"]] == [0, 1]
    for sentence in item["sentences"]:
        ((span),) = sentence["sources"]
        assert NOTE[span["start"] : span["end"]] == sentence["text"]
        assert sentence["flags"] == []
        section = item["sections"][sentence["section"]]
        assert section["start"] <= span["start"] < span["end"] <= section["end"]
    assert item["text"].startswith("CHIEF COMPLAINT\nCough for 3 weeks.\n\nASSESSMENT\n")
    assert answer["usage"]["completion_tokens"] == 0 < answer["usage"]["prompt_tokens"]


async def test_without_sections_the_text_is_one(served: Any) -> None:
    (item,) = (await summarize(served, sections=False, max_sentences=100))["data"]
    assert item["sections"] == []
    assert {sentence["section"] for sentence in item["sentences"]} == {None}
    assert item["text"].startswith("CHIEF COMPLAINT Cough for 3 weeks. ASSESSMENT The patient")


async def test_a_length_in_words_is_kept(served: Any) -> None:
    (item,) = (await summarize(served, max_words=11))["data"]
    assert 0 < len(item["text"].replace("CHIEF COMPLAINT", "").replace("ASSESSMENT", "").split()) <= 11
    (item,) = (await summarize(served, max_words=1))["data"]
    assert (item["text"], item["sentences"]) == ("", [])


async def test_texts_of_a_list_are_summarized_each(served: Any) -> None:
    both = (await summarize(served, [NOTE, "One is here. Two is there."]))["data"]
    alone = [(await summarize(served, text))["data"][0] for text in (NOTE, "One is here. Two is there.")]
    assert [item["index"] for item in both] == [0, 1]
    assert [item["sentences"] for item in both] == [item["sentences"] for item in alone]


async def test_a_generators_sentences_are_checked(served: Any) -> None:
    served.say("The patient takes aspirin 810 mg a day. He is fine.")
    answer = await summarize(served, model="assistant", max_sentences=5)
    (item,) = answer["data"]
    assert item["mode"] == "abstractive"
    assert item["checks"] == ["support", "numbers", "names", "negations"]
    assert [sentence["text"] for sentence in item["sentences"]] == [
        "The patient takes aspirin 810 mg a day.",
        "He is fine.",
    ]
    # The scripted vectors of different texts are far from each other.
    assert [sentence["flags"][0]["flag"] for sentence in item["sentences"]] == ["unsupported"] * 2
    assert answer["usage"]["completion_tokens"] > 0


async def test_a_generators_own_words_from_the_text_rest_on_it(served: Any) -> None:
    served.say("He takes aspirin 81 mg a day.")
    (item,) = (await summarize(served, model="assistant"))["data"]
    (sentence,) = item["sentences"]
    (span,) = sentence["sources"]
    assert NOTE[span["start"] : span["end"]] == sentence["text"]
    assert span["score"] == pytest.approx(1, abs=1e-3)
    assert sentence["flags"] == []


async def test_what_a_generator_writes_beyond_the_length_is_left_out(served: Any) -> None:
    served.say("One is here. Two is there. Three is away.")
    (item,) = (await summarize(served, model="assistant", max_sentences=2))["data"]
    assert [sentence["text"] for sentence in item["sentences"]] == ["One is here.", "Two is there."]
    assert item["truncated"] is True
    (item,) = (await summarize(served, model="assistant", max_words=4))["data"]
    assert [sentence["text"] for sentence in item["sentences"]] == ["One is here."]


async def test_the_prompt_has_the_length_or_the_clients_own_words(served: Any) -> None:
    prompts: list[str] = []
    engine, tokenizer = served.engines["assistant"], served.tokenizers["assistant"]
    run = engine.run

    def listen(rows: Any, out: Any) -> None:
        prompts.extend(tokenizer.decode(list(row.prompt)) for row in rows)
        run(rows, out)

    engine.run = listen
    await summarize(served, model="assistant", max_words=40)
    await summarize(served, model="assistant", instructions="Say it like a pirate.")
    assert "at most 40 words" in prompts[0]
    assert "Cough for 3 weeks." in prompts[0]
    assert "like a pirate" in prompts[1]
    assert "at most" not in prompts[1]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": ["Hi.", "..."]}, "input"),
        ({"max_sentences": 0}, "max_sentences"),
        ({"max_sentences": 101}, "max_sentences"),
        ({"max_words": 0}, "max_words"),
        ({"diversity": -1}, "diversity"),
        ({"mode": "magic"}, "mode"),
        ({"language": "English please"}, "language"),
        ({"instructions": "Be brief."}, "instructions"),
        ({"embedding_model": "embed"}, "embedding_model"),
        ({"model": "assistant", "diversity": 0.1}, "diversity"),
        ({"model": "assistant", "sections": True}, "sections"),
        ({"model": "assistant", "mode": "extractive"}, "model"),
        ({"model": "embed", "mode": "abstractive"}, "model"),
        ({"model": "nobody"}, "model"),
        ({"stream": True}, "stream"),
        ({"max_length": 5}, "max_length"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(served: Any, fields: dict[str, Any], param: str) -> None:
    response = await served.post("/v1/summaries", **{"input": NOTE, **fields})
    assert response.status_code in (400, 404)
    assert response.json()["error"]["param"] == param
    assert not served.engines["assistant"].began.is_set()


async def test_a_text_that_a_generator_cannot_read_whole_is_refused(served: Any) -> None:
    response = await served.post("/v1/summaries", input=f"It rains {'very ' * 50}hard. " * 40, model="assistant")
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert response.json()["error"]["param"] == "input"


async def test_more_sentences_than_the_queue_holds_are_refused(served: Any) -> None:
    response = await served.post("/v1/summaries", input="It rains again. " * 100)
    assert response.status_code == 413
    assert not served.engines["embed"].began.is_set()
