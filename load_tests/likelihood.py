"""How good a generator's decisions are: ``python -m load_tests.likelihood --data DIR [--model assistant]``.

For each intent set, the accuracy of the choice among ten labels drawn at random, the right one among them, by their
names alone, on rows of its test file; and the same without calibration. Talks to a server of its own, through
``/v1/decisions`` and ``/v1/completions``.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from load_tests.served import server
from load_tests.zero_shot import read

SETS = ("snips", "banking77", "clinc150")
OPTIONS = 10
ASKED = "What is the message about?"


def decide(client: httpx.Client, model: str, text: str, options: Sequence[str]) -> int:
    """The option that is served."""
    choices = [{"value": option} for option in options]
    question = {"type": "choice", "instructions": ASKED, "choices": choices}
    body = {"model": model, "input": text, "questions": [question]}
    told = client.post("/v1/decisions", json=body).raise_for_status().json()
    return options.index(told["answers"][0]["choice"])


def likeliest(client: httpx.Client, model: str, text: str, options: Sequence[str]) -> int:
    """The option of the highest mean log-probability, without calibration."""

    def ids(**fields: Any) -> list[int]:
        told = client.post("/tokenize", json={"model": model, **fields}).raise_for_status().json()
        return list(told["tokens"])

    context = ids(messages=[{"role": "user", "content": f"{text}\n\n{ASKED}"}])
    answers = [ids(prompt=option.replace("_", " "), add_special_tokens=False) for option in options]
    body = {"model": model, "prompt": [context + answer for answer in answers], "max_tokens": 0, "echo": True}
    told = client.post("/v1/completions", json={**body, "logprobs": 0}).raise_for_status().json()
    scores = [choice["logprobs"]["token_logprobs"][len(context) :] for choice in told["choices"]]
    return max(range(len(options)), key=lambda i: sum(scores[i]) / len(scores[i]))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="assistant")
    parser.add_argument("--rows", type=int, default=200)
    asked = parser.parse_args()
    rng = random.Random(1)
    print("| set | options | rows | served | not calibrated |\n|---|---|---|---|---|", flush=True)
    with (
        server([asked.model]) as served,
        httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client,
    ):
        for name in SETS:
            rows = read(asked.data, name, "test", rng)
            labels = sorted({label for _, label in rows})
            right = [0, 0]
            rows = rows[: asked.rows]
            for text, label in rows:
                others = rng.sample([one for one in labels if one != label], min(OPTIONS, len(labels)) - 1)
                options = rng.sample([label, *others], len(others) + 1)
                right[0] += options[decide(client, asked.model, text, options)] == label
                right[1] += options[likeliest(client, asked.model, text, options)] == label
            shares = " | ".join(f"{count / len(rows):.3f}" for count in right)
            print(f"| {name} | {min(OPTIONS, len(labels))} | {len(rows)} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
