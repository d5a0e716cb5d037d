"""``/v1/decisions``: OpenAI's shapes."""

from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter
from pydantic import Field, model_validator

from server.api.deps import RecordDep, RegistryDep
from server.api.request import JsonRoute
from server.api.schemas.base import RequestBody, ResponseBody, invalid
from server.api.schemas.inert import ANYTHING, HINTS, PART, SAID
from server.api.schemas.response_items import ResponseUsage
from server.tasks.decisions import Option, Question, certainty

MAX_QUESTIONS = 400


class TextPart(RequestBody):
    """A part of text."""

    inert: ClassVar = PART

    type: Literal["input_text", "output_text"] = Field(description="What kind of part.", examples=["input_text"])
    text: str = Field(description="The text.", examples=["I was charged twice."])


class Message(RequestBody):
    """A message whose text is part of the input."""

    inert: ClassVar = {**SAID, "phase": ("commentary", "final_answer"), "status": ANYTHING}

    type: Literal["message"] = Field("message", description="Always `message`.", examples=["message"])
    role: Literal["user", "developer", "system", "assistant"] = Field(description="Who speaks.", examples=["user"])
    content: str | list[TextPart] = Field(description="A text or its parts.", examples=["I was charged twice."])

    @property
    def text(self) -> str:
        """Its text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChoiceOption(RequestBody):
    """One option of a choice."""

    value: str | bool = Field(description="What is answered.", examples=["billing"])
    description: str | None = Field(None, description="What it means.", examples=["Anything about money."])

    def option(self) -> Option:
        """As tasks have it."""
        return Option(self.value if isinstance(self.value, str) else str(self.value).lower(), self.description or "")


class Level(RequestBody):
    """One level of a score."""

    label: str = Field(min_length=1, description="What the level is called.", examples=["urgent"])
    description: str | None = Field(None, description="What it means.", examples=["Somebody waits for it."])


class QuestionBody(RequestBody):
    """The fields that all questions have."""

    name: str | None = Field(None, description="Comes back with the answer.", examples=["topic"])
    instructions: str | list[TextPart] = Field(description="The question.", examples=["What is it about?"])

    @property
    def text(self) -> str:
        """The instructions' text."""
        if isinstance(self.instructions, str):
            return self.instructions
        return "".join(part.text for part in self.instructions)


class PredicateBody(QuestionBody):
    """How likely is a statement true?"""

    type: Literal["predicate"] = Field(description="True or false.", examples=["predicate"])

    def question(self) -> Question:
        """As tasks have it."""
        return Question(self.text)

    def answer(self, probabilities: list[float]) -> dict[str, Any]:
        """The answer."""
        return {"type": "predicate", "name": self.name, "probability": probabilities[0]}


class ChoiceBody(QuestionBody):
    """Which option is right?"""

    type: Literal["choice"] = Field(description="One of several.", examples=["choice"])
    choices: list[ChoiceOption] = Field(min_length=2, max_length=255, description="What to choose from.")

    @model_validator(mode="after")
    def _check(self) -> "ChoiceBody":
        values = [(type(choice.value), choice.value) for choice in self.choices]
        if len(set(values)) < len(values):
            raise invalid("choices", "name one value twice")
        return self

    def question(self) -> Question:
        """As tasks have it."""
        return Question(self.text, [choice.option() for choice in self.choices])

    def answer(self, probabilities: list[float]) -> dict[str, Any]:
        """The answer."""
        best = max(range(len(probabilities)), key=lambda i: probabilities[i])
        return {
            "type": "choice",
            "name": self.name,
            "choice": self.choices[best].value,
            "confidence": certainty(probabilities),
            "probabilities": [
                {"value": choice.value, "probability": p} for choice, p in zip(self.choices, probabilities, strict=True)
            ],
        }


class ScoreBody(QuestionBody):
    """Where on an ordered scale is the input? Levels count from 0, the score is their weighted mean."""

    type: Literal["score"] = Field(description="A place on a scale.", examples=["score"])
    levels: list[Level] = Field(min_length=2, max_length=10, description="The scale, lowest first.")

    def question(self) -> Question:
        """As tasks have it."""
        return Question(self.text, [Option(level.label, level.description or "") for level in self.levels])

    def answer(self, probabilities: list[float]) -> dict[str, Any]:
        """The answer."""
        return {
            "type": "score",
            "name": self.name,
            "score": sum(i * p for i, p in enumerate(probabilities)),
            "confidence": certainty(probabilities),
            "probabilities": [
                {"label": level.label, "value": i, "probability": p}
                for i, (level, p) in enumerate(zip(self.levels, probabilities, strict=True))
            ],
        }


AnyQuestion = Annotated[PredicateBody | ChoiceBody | ScoreBody, Field(discriminator="type")]


class DecisionRequest(RequestBody):
    """Questions about one input."""

    inert: ClassVar = HINTS

    model: str = Field(description="A classifier, an embedding model or a generator.", examples=["embed"])
    input: str | list[Message] = Field(description="A text or messages.", examples=["I was charged twice."])
    questions: list[AnyQuestion] = Field(
        min_length=1, max_length=MAX_QUESTIONS, description="The decisions to make, all about the one input."
    )
    prompt_cache_key: str | None = Field(None, description="Accepted; equal inputs need no key here.", examples=["k-1"])
    safety_identifier: str | None = Field(None, description="Accepted and not used.", examples=["u-1"])

    @model_validator(mode="after")
    def _check(self) -> "DecisionRequest":
        if not self.text.strip():
            raise invalid("input", "has no text")
        for i, question in enumerate(self.questions):
            if not question.text.strip():
                raise invalid(f"questions.{i}.instructions", "has no text")
        return self

    @property
    def text(self) -> str:
        """All text of the input."""
        if isinstance(self.input, str):
            return self.input
        return "\n".join(message.text for message in self.input)


class DecisionResponse(ResponseBody):
    """The answers, in the order of the questions."""

    model: str
    answers: list[dict[str, Any]]
    usage: ResponseUsage


router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@router.post("/v1/decisions")
async def create_decision(body: DecisionRequest, registry: RegistryDep, record: RecordDep) -> DecisionResponse:
    """Answer questions about an input by probabilities."""
    task = registry.decider(body.model)
    record.serve(task.card.id)
    done = await task.decide(body.text, [question.question() for question in body.questions])
    record.finish(done.usage, done.timing)
    answers = [question.answer(list(p)) for question, p in zip(body.questions, done.items, strict=True)]
    return DecisionResponse(model=body.model or task.card.id, answers=answers, usage=ResponseUsage.of(done.usage))
