"""The tools of ``/mcp``: each is one call of a route of this server, in words for a model.

A tool makes the body of its route and reads the answer. It has no work of its own, so keys, limits, refusals and
metrics are the route's. This module knows no protocol.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field

from server.api.schemas.base import RequestBody, Texts, as_list
from server.serving.served_model import ModelStatus

Task = str
ArgumentsT = TypeVar("ArgumentsT", bound="Arguments")

MOST_TOKENS = 512
"""The tokens of an answer of the tool ``chat`` that names no limit: agents read all of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a tool: the same as text for a model and as data for a program."""

    text: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a route of this server."""

    path: str
    body: Mapping[str, Any]


class Arguments(RequestBody):
    """The arguments of a tool. Unknown ones are refused."""


@dataclass(frozen=True, slots=True)
class Tool(Generic[ArgumentsT]):
    """A tool. It is there if a model serves its task."""

    name: str
    title: str
    about: str
    arguments: type[ArgumentsT]
    call: Callable[[ArgumentsT, Sequence[ModelStatus]], Call]
    """Makes the request of the arguments and of the models that serve the tool."""
    read: Callable[[ArgumentsT, Any], Answer]
    serves: Callable[[ModelStatus], bool]
    """Whether a model serves the tool."""

    def schema(self, models: Sequence[ModelStatus]) -> dict[str, Any]:
        """The JSON Schema of the arguments; ``model`` is one of the models that serve the tool."""
        made = self.arguments.model_json_schema()
        if (model := made["properties"].get("model")) is not None:
            made["properties"]["model"] = {
                "type": "string",
                "enum": [status.id for status in models],
                "description": model["description"],
            }
        return made


def _text(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a body that are set."""
    return {name: value for name, value in arguments.items() if value is not None}


TEXTS = Field(description="A text, or a list of texts.")


class TranslateArguments(Arguments):
    """Texts to translate."""

    text: Texts = TEXTS
    target: str = Field(description="The language to translate to, as an ISO 639-1 code such as `de`.")
    source: str = Field("auto", description="The language of the texts; `auto` detects it.")


def _translations(arguments: TranslateArguments, answer: Any) -> Answer:
    kept = ("text", "source", "target", "confidence", "flags")
    items = [{name: item[name] for name in kept} for item in answer["data"]]
    return Answer("\n".join(item["text"] for item in items), {"translations": items})


class ClassifyArguments(Arguments):
    """Texts to classify."""

    text: Texts = TEXTS
    model: str | None = Field(None, description="The classifier, which has labels of its own; mostly left out.")


def _labels(arguments: ClassifyArguments, answer: Any) -> Answer:
    items = [{"label": ranked[0]["label"], "score": ranked[0]["score"], "labels": ranked} for ranked in answer]
    lines = [f"{item['label']} ({item['score']:.2f})" for item in items]
    return Answer("\n".join(lines), {"classifications": items})


class ModerateArguments(Arguments):
    """Texts to judge."""

    text: Texts = TEXTS


def _judgements(arguments: ModerateArguments, answer: Any) -> Answer:
    items = []
    for result in answer["results"]:
        found = [name for name, is_flagged in result["categories"].items() if is_flagged]
        scores = {name: score for name, score in result["category_scores"].items() if score}
        items.append({"flagged": result["flagged"], "categories": found, "scores": scores})
    lines = [f"flagged: {', '.join(item['categories'])}" if item["flagged"] else "not flagged" for item in items]
    return Answer("\n".join(lines), {"results": items})


class DecideArguments(Arguments):
    """A choice about one text."""

    text: str = Field(description="The text that the question is about.")
    question: str = Field(description="The question, such as `What does the customer want?`.")
    choices: list[str] = Field(min_length=2, max_length=255, description="The answers to choose from.")
    model: str | None = Field(None, description="The model that decides; mostly left out.")


def _question(arguments: DecideArguments, models: Sequence[ModelStatus]) -> Call:
    """The question; to an embedding model, which answers any, where the arguments name no model."""
    able = [status.id for status in models if status.task == "embedding"] or [status.id for status in models]
    choices = [{"value": each} for each in arguments.choices]
    question = {"type": "choice", "instructions": arguments.question, "choices": choices}
    return Call(
        "/v1/decisions", {"model": arguments.model or able[0], "input": arguments.text, "questions": [question]}
    )


def _decision(arguments: DecideArguments, answer: Any) -> Answer:
    (decided,) = answer["answers"]
    odds = {each["value"]: each["probability"] for each in decided["probabilities"]}
    text = f"{decided['choice']} ({odds[decided['choice']]:.2f})"
    return Answer(text, {"choice": decided["choice"], "confidence": decided["confidence"], "probabilities": odds})


class RankArguments(Arguments):
    """Documents to sort by their nearness to a query."""

    query: str = Field(description="What is looked for.")
    documents: list[str] = Field(min_length=1, description="The texts to sort.")
    top_n: int | None = Field(None, ge=1, description="Return only so many, the nearest ones.")


def _ranks(arguments: RankArguments, answer: Any) -> Answer:
    results = [
        {"index": each["index"], "score": each["relevance_score"], "document": arguments.documents[each["index"]]}
        for each in answer["results"]
    ]
    text = "\n".join(f"[{each['index']}] {each['score']:.2f} {each['document']}" for each in results)
    return Answer(text, {"results": results})


class SummarizeArguments(Arguments):
    """A text to summarize with sentences of its own."""

    text: str = Field(description="The text.")
    max_sentences: int | None = Field(None, ge=1, le=100, description="The most sentences; 3 if left out.")
    max_words: int | None = Field(None, ge=1, le=2000, description="The most words.")


def _summary(arguments: SummarizeArguments, answer: Any) -> Answer:
    (item,) = answer["data"]
    sentences = [{"text": each["text"], **each["sources"][0]} for each in item["sentences"]]
    return Answer(item["text"], {"summary": item["text"], "sentences": sentences})


class ChatArguments(Arguments):
    """A message to a small local model."""

    prompt: str = Field(description="The message. The model sees nothing else.")
    model: str = Field(description="The model to ask.")
    system: str | None = Field(None, description="Instructions for the model.")
    max_tokens: int = Field(MOST_TOKENS, ge=1, le=8192, description="The most tokens of the answer.")


def _messages(arguments: ChatArguments, models: Sequence[ModelStatus]) -> Call:
    said = [("system", arguments.system), ("user", arguments.prompt)]
    messages = [{"role": role, "content": content} for role, content in said if content is not None]
    return Call(
        "/v1/chat/completions",
        {"model": arguments.model, "messages": messages, "max_tokens": arguments.max_tokens},
    )


def _reply(arguments: ChatArguments, answer: Any) -> Answer:
    (choice,) = answer["choices"]
    said = choice["message"]["content"] or ""
    return Answer(said, {"text": said, "finish_reason": choice["finish_reason"]})


def _has_task(task: Task) -> Callable[[ModelStatus], bool]:
    return lambda status: status.task == task


def _has_head(name: str) -> Callable[[ModelStatus], bool]:
    return lambda status: any(head.name == name for head in status.card.heads)


TOOLS: Sequence[Tool[Any]] = (
    Tool(
        "translate", "Translate", "Translate texts on this machine. The source language is detected.",
        TranslateArguments,
        lambda a, _: Call("/v1/translations", {"input": a.text, "target": a.target, "source": a.source}),
        _translations, _has_task("translation"),
    ),
    Tool(
        "classify", "Classify", "Say which label of a trained classifier fits each text, such as its sentiment.",
        ClassifyArguments,
        lambda a, _: Call("/predict", _text({"inputs": [[text] for text in as_list(a.text)], "model": a.model})),
        _labels, _has_task("classification"),
    ),
    Tool(
        "moderate", "Moderate", "Judge whether texts are harassing, hateful, sexual, violent or about self-harm.",
        ModerateArguments,
        lambda a, _: Call("/v1/moderations", {"input": a.text}),
        _judgements, _has_head("moderation"),
    ),
    Tool(
        "decide", "Decide", "Choose the answer to a question about a text among given choices, with probabilities.",
        DecideArguments, _question,
        _decision, lambda status: status.task in ("embedding", "generation", "classification"),
    ),
    Tool(
        "rank", "Rank", "Sort documents by how near their meaning is to a query, the nearest first.",
        RankArguments,
        lambda a, _: Call("/v1/rerank", _text({"query": a.query, "documents": a.documents, "top_n": a.top_n})),
        _ranks, lambda status: status.task in ("rerank", "embedding"),
    ),
    Tool(
        "summarize", "Summarize",
        "Shorten a text to its most telling sentences. These are sentences of the text itself: nothing is invented.",
        SummarizeArguments,
        lambda a, _: Call("/v1/summaries", _text(
            {"input": a.text, "max_sentences": a.max_sentences, "max_words": a.max_words, "mode": "extractive"})),
        _summary, _has_task("embedding"),
    ),
    Tool(
        "chat", "Ask a local model", "Ask a small language model on this machine. It sees the prompt alone.",
        ChatArguments, _messages, _reply, _has_task("generation"),
    ),
)  # fmt: skip
"""All tools, in the order in which they are listed."""
