"""How many of forty plain instructions a chat model follows: ``python -m load_tests.instructions --model NAME``.

Every answer is judged by a rule, never by a person or another model: a pattern, a number of lines or words, valid JSON.
Greedy, one conversation a prompt, no system message of ours. Talks to a server of its own, unless ``--url`` names one.
"""

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from load_tests.served import server

Check = Callable[[str], bool]
MAX_TOKENS = 160


def says(*patterns: str) -> Check:
    """All of these patterns occur, whatever the case."""
    return lambda text: all(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


def exactly(*answers: str) -> Check:
    """The answer is one of these, but for case and marks around it."""
    return lambda text: text.strip().strip("\"'.!*` ").lower() in answers


def lines(count: int, of: str = r".*\S.*") -> Check:
    """The number of lines that match this pattern."""
    return lambda text: sum(re.fullmatch(of, line) is not None for line in text.strip().splitlines()) == count


def words(least: int, most: int) -> Check:
    """The answer has so many words."""
    return lambda text: least <= len(text.split()) <= most


def sentences(count: int) -> Check:
    """The answer has so many sentences."""
    return lambda text: len(re.findall(r"[.!?](?=\s|$)", text.strip())) == count


def both(*checks: Check) -> Check:
    """All of these hold."""
    return lambda text: all(check(text) for check in checks)


def has_json(keys: set[str]) -> Check:
    """The answer is, or has between fences, a JSON object with just these keys."""

    def check(text: str) -> bool:
        found = re.search(r"\{.*\}", text, re.DOTALL)
        try:
            value = json.loads(found[0]) if found else None
        except ValueError:
            return False
        return isinstance(value, dict) and value.keys() == keys

    return check


def lacks(letter: str) -> Check:
    """The answer is not empty and has no such text."""
    return lambda text: bool(text.strip()) and letter not in text.lower()


BULLET, NUMBERED = r"\s*[-*•]\s+\S.*", r"\s*\d+[.)]\s+\S.*"
SETS: dict[str, list[tuple[str, Check]]] = {
    "facts": [
        ("What is the capital of France?", says(r"\bParis\b")),
        ("What is the capital of Japan?", says(r"\bTokyo\b")),
        ("How many days are in a week?", says(r"\b(7|seven)\b")),
        ("Which planet is known as the Red Planet?", says(r"\bMars\b")),
        ("Who wrote Romeo and Juliet?", says("Shakespeare")),
        ("What is the chemical symbol of water?", says("H2O|H₂O")),
        ("What is the largest ocean on Earth?", says("Pacific")),
        ("At what temperature in Celsius does water boil at sea level?", says(r"\b100\b")),
        ("In which country is the city of Lisbon?", says("Portugal")),
        ("What language is mainly spoken in Brazil?", says("Portuguese")),
    ],
    "arithmetic and order": [
        ("What is 7 plus 5?", says(r"\b(12|twelve)\b")),
        ("What is 9 times 6?", says(r"\b54\b")),
        ("What is 100 minus 37?", says(r"\b63\b")),
        ("What is half of 48?", says(r"\b24\b")),
        ("I have 3 apples and buy 4 more, then eat 2. How many apples do I have?", says(r"\b(5|five)\b")),
        ("Sort these numbers from small to large: 9, 2, 5.", says(r"2\D+5\D+9")),
        ("Which is larger, 19 or 91? Answer with the number only.", exactly("91")),
        ("What day comes after Tuesday?", says("Wednesday")),
    ],
    "form": [
        ("Answer with one word only: what colour is the sky on a clear day?", exactly("blue")),
        ("Answer yes or no only: is ice cold?", exactly("yes")),
        ("Answer yes or no only: can a fish ride a bicycle?", exactly("no")),
        ("List exactly three fruits as bullet points that begin with '-'.", lines(3, BULLET)),
        ("Give a numbered list of four animals, nothing else.", lines(4, NUMBERED)),
        ("Name two primary colours, separated by a comma, and nothing else.", both(says(","), words(2, 2))),
        ("Write one sentence about rain.", sentences(1)),
        ("Write exactly two sentences about coffee.", sentences(2)),
        ("Describe a cat in at most ten words.", words(1, 10)),
        (
            "Reply with the word HELLO in capital letters and nothing else.",
            lambda text: text.strip(" .!\"'\n") == "HELLO",
        ),
        ("Write a JSON object with the keys name and age for a person of your choice.", has_json({"name", "age"})),
        ("Write an answer that ends with the word 'goodbye'.", says(r"goodbye\W*$")),
        ("Write a short paragraph about the sea between 30 and 80 words.", words(30, 80)),
        ("Say hello in Spanish.", says("hola")),
    ],
    "work with a text": [
        ("Write this in capital letters: good morning", says("(?-i:GOOD MORNING)")),
        ("Extract the email address: 'You can write to anna@example.org at any time.'", says(r"anna@example\.org")),
        (
            "Is this review positive or negative? 'The food was awful and cold.' Answer with one word.",
            exactly("negative"),
        ),
        (
            "Is this review positive or negative? 'I loved every minute of it.' Answer with one word.",
            exactly("positive"),
        ),
        (
            "Summarize in one sentence: The library opens at nine every day but Sunday. It closes at six, and on "
            "Fridays at eight. Members may borrow five books.",
            both(sentences(1), says("library")),
        ),
        ("Correct the spelling: 'I recieve teh letter.'", says(r"receive the letter|received the letter")),
        ("My name is Lena. What is my name?", says("Lena")),
        ("Write a Python function add(a, b) that returns the sum of a and b.", says(r"def add\(", r"return a ?\+ ?b")),
    ],
}


@contextmanager
def _client(url: str | None, model: str, models_dir: Path | None) -> Iterator[httpx.Client]:
    if url is not None:
        with httpx.Client(base_url=url, timeout=300) as client:
            yield client
        return
    more = ["--models-dir", str(models_dir)] if models_dir is not None else []
    with (
        server([model], *more) as served,
        httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=300) as client,
    ):
        yield client


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--url", help="of a server that runs already")
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("--answers", action="store_true", help="print every answer, too")
    asked = parser.parse_args()
    right, rates = 0, []
    print("| set | right |\n|---|---|", flush=True)
    with _client(asked.url, asked.model, asked.models_dir) as client:
        for name, cases in SETS.items():
            passed = 0
            for prompt, check in cases:
                body = {
                    "model": asked.model,
                    "temperature": 0,
                    "max_tokens": MAX_TOKENS,
                    "messages": [{"role": "user", "content": prompt}],
                }
                began = time.monotonic()
                told = client.post("/v1/chat/completions", json=body).raise_for_status().json()
                rates.append(told["usage"]["completion_tokens"] / (time.monotonic() - began))
                text = told["choices"][0]["message"]["content"]
                passed += (is_right := check(text))
                if asked.answers:
                    print(f"{'ok ' if is_right else 'NO '} {prompt!r}\n    {text!r}", flush=True)
            right += passed
            print(f"| {name} | {passed} of {len(cases)} |", flush=True)
    print(f"| all | {right} of {sum(map(len, SETS.values()))} |")
    print(f"\n{statistics.median(rates):.0f} tokens a second in the median, prompt and answer together, one at a time")


if __name__ == "__main__":
    main()
