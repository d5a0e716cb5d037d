"""The shipped assistant keeps its golden outputs and the floors under the figures of its card."""

from pathlib import Path

import ctranslate2
import pytest

from models.families.hearth_assistant import END, SPECIAL_TOKENS, Message, Tool, parse_completion, segments
from models.recipes.assistant.fallback import is_fallback
from models.registry import ModelCard, read_card, verify
from models.tokenizers import Special, Tokenizer, load_tokenizer

FOLDER = Path(__file__).parents[2] / "models" / "weights" / "assistant"
TOOLS = (
    Tool("FindProvider", ("city", "type")),
    Tool("BookAppointment", ("stylist_name", "appointment_time", "appointment_date")),
)


class Shipped:
    """The model folder as the server loads it, greedy."""

    def __init__(self) -> None:
        self.card: ModelCard = read_card(FOLDER)
        self.tokenizer: Tokenizer = load_tokenizer(self.card)
        self.generator = ctranslate2.Generator(str(FOLDER), device="cpu", intra_threads=1)

    def says(self, *turns: str, tools: tuple[Tool, ...] = ()) -> str:
        """The assistant's turn after these, the user's first, special tokens literal."""
        roles = ("user", "assistant")
        messages = [Message(roles[i % 2], turn) for i, turn in enumerate(turns)]
        row = segments(messages, tools, add_generation_prompt=True)
        marked = [Special(part) if part in SPECIAL_TOKENS else part for part in row if part]
        prompt = self.tokenizer.tokens(self.tokenizer.encode_with_specials(marked))
        result = self.generator.generate_batch(
            [prompt], max_length=80, include_prompt_in_result=False, end_token=[END], return_end_token=True
        )[0]
        special = self.tokenizer.special_tokens
        text, plain = "", []
        for token in result.sequences[0]:
            if token in special:
                text += self.tokenizer.decode(plain) + token
                plain = []
            else:
                plain.append(self.tokenizer.id(token))
        return text + self.tokenizer.decode(plain)


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return Shipped()


def test_the_folder_is_whole(shipped: Shipped) -> None:
    verify(shipped.card)


@pytest.mark.parametrize(
    "question", ["What is the capital of Peru?", "How do magnets work?", "Who wrote Moby Dick?", "Why is the sky blue?"]
)
def test_a_general_question_gets_the_polite_fallback(shipped: Shipped, question: str) -> None:
    answer = shipped.says(question)
    assert answer.endswith(END), "it stops by itself"
    assert is_fallback(answer)


def test_another_language_is_answered_in_it(shipped: Shipped) -> None:
    assert "nur" in shipped.says("Guten Tag, ich möchte einen Termin machen.")


def test_a_request_with_tools_becomes_a_call_to_one_of_them(shipped: Shipped) -> None:
    completion = parse_completion(shipped.says("I need a dentist in San Jose", tools=TOOLS), TOOLS)
    assert [call.name for call in completion.calls] == ["FindProvider"]
    assert completion.calls[0].arguments["city"] == "San Jose"


@pytest.mark.parametrize(
    ("name", "metric", "floor"),
    [
        ("sgd-dev, trained services", "call name right", 0.8),
        ("sgd-dev, trained services", "call exact match", 0.8),
        ("dolly.dev", "fallback share", 0.85),
    ],
)
def test_the_card_s_figures_are_above_their_floors(shipped: Shipped, name: str, metric: str, floor: float) -> None:
    values = [f.value for f in shipped.card.figures if (f.name, f.metric) == (name, metric)]
    assert len(values) == 1
    assert values[0] >= floor
