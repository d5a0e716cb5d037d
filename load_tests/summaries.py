"""How good summaries are, and what their checks find: ``python -m load_tests.summaries --mts FILE --aci FILE``.

The files are CSVs of two public corpora of conversations between doctors and patients with the notes that people wrote
of them (both CC BY 4.0): MTS-Dialog's ``MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv`` and ACI-Bench's
``clinicalnlp_taskB_test1.csv``. ROUGE compares summaries of the conversations with those notes, all methods within the
same length. The checks read the people's own sentences, then the same with one number, drug or negation changed. With
``--url`` and ``--model`` a generator of a running server summarizes MTS-Dialog's conversations.
"""

import argparse
import csv
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from load_tests.zero_shot import Embedder
from server.cli.client import CallFailed, Client
from server.tasks.encoding import Floats
from server.tasks.summaries.extractive import choose
from server.tasks.summaries.form import Length, count_words
from server.tasks.summaries.support import Source, checks_in, facts_of, sources_of
from server.tasks.text.note import Note, read_note

MOST_TOKENS = 254
WORDS = {"mts": 50, "aci": 300}
"""About as many as the people's notes have."""
DRUGS = "metformin lisinopril atorvastatin omeprazole metoprolol ibuprofen prednisone amoxicillin gabapentin".split()  # noqa: SIM905
DAMPING, ROUNDS = 0.85, 50

_WORD = re.compile(r"[a-z0-9]+")
_NEGATION = re.compile(r"\b(denies|no|not|without|never)\b ?", re.IGNORECASE)
_VERB = re.compile(r"\b(is|was|has|had|are|were) ")


@dataclass(frozen=True)
class Pair:
    """A conversation and the note of it."""

    text: str
    note: Note
    vectors: Floats
    reference: str


def read(file: Path, embed: Embedder) -> list[Pair]:
    pairs = []
    with file.open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            text = row["dialogue"].replace("\r\n", "\n")
            note = read_note(text, "en", by_heading=False, count_tokens=embed.count, limit_tokens=MOST_TOKENS)
            if len(note.sentences) >= 5:
                vectors = embed([sentence.text for sentence in note.sentences])
                pairs.append(Pair(text, note, vectors, row.get("section_text") or row["note"]))
    return pairs


def words_of(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def rouge(said: Sequence[str], right: Sequence[str]) -> tuple[float, float, float]:
    """F of ROUGE-1, ROUGE-2 and ROUGE-L, without stemming."""
    return _overlap(said, right, 1), _overlap(said, right, 2), _longest(said, right)


def _overlap(said: Sequence[str], right: Sequence[str], n: int) -> float:
    ours, theirs = (Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (said, right))
    both = sum((ours & theirs).values())
    return 2 * both / max(1, sum(ours.values()) + sum(theirs.values()))


def _longest(said: Sequence[str], right: Sequence[str]) -> float:
    before = [0] * (len(right) + 1)
    for word in said:
        now = [0]
        for j, other in enumerate(right):
            now.append(before[j] + 1 if word == other else max(before[j + 1], now[j]))
        before = now
    return 2 * before[-1] / max(1, len(said) + len(right))


def text_rank(note: Note) -> np.ndarray:
    """Mihalcea and Tarau's scores of sentences: shared words over the logarithms of the lengths."""
    bags = [set(words_of(sentence.text)) for sentence in note.sentences]
    near = np.zeros((len(bags), len(bags)))
    for i, one in enumerate(bags):
        for j, other in enumerate(bags):
            if i != j and len(one) > 1 and len(other) > 1:
                near[i, j] = len(one & other) / (np.log(len(one)) + np.log(len(other)))
    sums = near.sum(axis=1, keepdims=True)
    moves = np.where(sums > 0, near / np.where(sums > 0, sums, 1), 1 / len(bags))
    rank = np.full(len(bags), 1 / len(bags))
    for _ in range(ROUNDS):
        rank = (1 - DAMPING) / len(bags) + DAMPING * moves.T @ rank
    return rank


def fill(order: Sequence[int], note: Note, length: Length) -> list[int]:
    """The sentences in this order that fit into the length."""
    room = length.words or 10**6
    kept: list[int] = []
    for index in order:
        size = count_words(note.sentences[index].text)
        if size <= room and len(kept) < length.sentences:
            kept.append(index)
            room -= size
    return sorted(kept)


METHODS: dict[str, Callable[[Pair, Length], list[int]]] = {
    "the first sentences (lead)": lambda pair, length: fill(range(len(pair.note.sentences)), pair.note, length),
    "TextRank": lambda pair, length: fill(np.argsort(-text_rank(pair.note), kind="stable"), pair.note, length),
    "ours without diversity": lambda pair, length: choose(pair.note.sentences, pair.vectors, length, 0.0)[0],
    "**ours**": lambda pair, length: choose(pair.note.sentences, pair.vectors, length)[0],
}


def measure(name: str, pairs: Sequence[Pair], lengths: Sequence[tuple[str, Length]]) -> None:
    print(f"\n| {name}, {len(pairs)} conversations | length | ROUGE-1 | ROUGE-2 | ROUGE-L |\n|---|---|---|---|---|")
    for told, length in lengths:
        for method, pick in METHODS.items():
            scores = []
            for pair in pairs:
                said = " ".join(pair.note.sentences[index].text for index in pick(pair, length))
                scores.append(rouge(words_of(said), words_of(pair.reference)))
            print(
                f"| {method} | {told} | " + " | ".join(f"{100 * score:.1f}" for score in np.mean(scores, axis=0)) + " |"
            )


def changed(text: str, rng: random.Random) -> dict[str, str]:
    """The sentence with one fault of each kind for which it has a place."""
    facts, made = facts_of(text), {}
    if facts.numbers:
        one = rng.choice(facts.numbers)
        made["number"] = text[: one.start] + str(rng.randint(100, 997)) + text[one.end :]
    if drugs := [word for word in facts.names if word.text in DRUGS or word.text.endswith(("pril", "statin", "olol"))]:
        one = rng.choice(drugs)
        other = rng.choice([drug for drug in DRUGS if drug != one.text])
        made["name"] = text[: one.start] + other + text[one.end :]
    if (match := _NEGATION.search(text)) is not None:
        instead = "reports " if match[1].lower() == "denies" else ""
        made["negation"] = text[: match.start()] + instead + text[match.end() :]
    elif (match := _VERB.search(text)) is not None:
        made["negation"] = text[: match.end()] + ("no " if match[1] in ("has", "had") else "not ") + text[match.end() :]
    return made


def check(name: str, pairs: Sequence[Pair], embed: Embedder) -> None:
    rng, checks = random.Random(1), checks_in("en")
    flagged: Counter[str] = Counter()
    found: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    sentences = 0
    for pair in pairs:
        source = Source(pair.note.sentences)

        def faults(text: str, vector: Floats, pair: Pair = pair, source: Source = source) -> set[str]:
            spans = sources_of(vector, pair.vectors, pair.note.sentences)
            return {flag.fault for flag in source.faults(text, spans, checks)}

        said = [sentence.text for sentence in read_note(pair.reference, "en").sentences]
        cases = [("", text, text) for text in said]
        cases += [(kind, text, new) for text in said for kind, new in changed(text, rng).items()]
        vectors = embed([new for _, _, new in cases]) if cases else []
        before: dict[str, set[str]] = {}
        for (kind, text, new), vector in zip(cases, vectors, strict=True):
            seen = faults(new, vector)
            if not kind:
                before[text] = seen
                sentences += 1
                flagged.update(seen or {"none"})
            elif not before[text] & {kind, "unsupported"}:
                tried[kind] += 1
                found[kind] += bool(seen & {kind, "unsupported"})
    print(f"\n| {name}, {sentences} sentences of people | flagged | changed ones found |\n|---|---|---|")
    for kind in ("none", "unsupported", "number", "name", "negation"):
        share = f"{found[kind]} of {tried[kind]}" if tried[kind] else ""
        print(f"| {kind} | {flagged[kind] / sentences:.3f} | {share} |")


def written(pairs: Sequence[Pair], url: str, model: str) -> None:
    scores, kinds, sentences, refused = [], Counter[str](), 0, 0
    with Client(url) as client:
        for pair in pairs:
            body = {"input": pair.text, "model": model, "mode": "abstractive", "max_words": WORDS["mts"]}
            try:
                (item,) = client.call("POST", "/v1/summaries", body)["data"]
            except CallFailed:
                refused += 1
                continue
            scores.append(rouge(words_of(item["text"]), words_of(pair.reference)))
            sentences += len(item["sentences"])
            for sentence in item["sentences"]:
                kinds.update({flag["flag"] for flag in sentence["flags"]} or {"none"})
    told = " | ".join(f"{100 * score:.1f}" for score in np.mean(scores, axis=0))
    print(f"\n{model} wrote {len(scores)} summaries ({refused} conversations are too long for it): ROUGE {told}")
    print(
        f"Of its {sentences} sentences, share with: " + ", ".join(f"{k} {v / sentences:.3f}" for k, v in kinds.items())
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mts", type=Path, required=True)
    parser.add_argument("--aci", type=Path, required=True)
    parser.add_argument("--url", default="", help="a running server, for --model")
    parser.add_argument("--model", default="", help="a generator of that server")
    options = parser.parse_args()
    embed = Embedder()
    corpora = {"mts": ("MTS-Dialog", read(options.mts, embed)), "aci": ("ACI-Bench", read(options.aci, embed))}
    for key, (name, pairs) in corpora.items():
        lengths = [("3 sentences", Length(3)), (f"{WORDS[key]} words", Length(words=WORDS[key]))]
        measure(name, pairs, lengths)
    for name, pairs in corpora.values():
        check(name, pairs, embed)
    if options.url:
        written(corpora["mts"][1], options.url, options.model)


if __name__ == "__main__":
    main()
