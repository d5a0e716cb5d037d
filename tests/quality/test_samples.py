"""The shipped models are as good as their cards say: floors a little below the measured figures of 200 rows.

A figure of 200 rows is not the card's: `make evaluate` measures those, on whole test sets. These tests notice a model,
a tokenizer or a server that has become worse. `make_samples.py` says where the rows come from.
"""

import lzma
from pathlib import Path

import httpx
import numpy as np
import pytest
import sacrebleu

from models.recipes.classifier.metrics import area_under_curve
from models.recipes.moderation.written import CATEGORIES, written
from models.recipes.sentiment.sentences import written as customers

HERE = Path(__file__).parent
TRANSLATION = [line.split("\t") for line in (HERE / "translation.tsv").read_text("utf-8").splitlines()]
SENTIMENT = [line.split("\t") for line in (HERE / "sentiment.tsv").read_text("utf-8").splitlines()]
with lzma.open(HERE / "moderation.tsv.xz", "rt", encoding="utf-8", newline="\n") as lines:
    MODERATION = [line.rstrip("\n").split("\t") for line in lines]


@pytest.mark.parametrize(
    ("language", "from_english", "floor"),
    [
        ("de", True, 26.5),  # 27.2 measured; the weights before had 29.0 here, but 0.2 less on the whole test set
        ("fr", True, 33.5),
        ("es", True, 36.5),
        ("de", False, 38.0),
        ("fr", False, 47.0),
        ("es", False, 45.0),
    ],
)
def test_translation_is_above_its_floor(client: httpx.Client, language: str, from_english: bool, floor: float) -> None:
    pairs = [(english, foreign) for row_language, english, foreign in TRANSLATION if row_language == language]
    assert len(pairs) == 200
    source, target = ("en", language) if from_english else (language, "en")
    texts, references = zip(*(pair if from_english else pair[::-1] for pair in pairs), strict=True)
    answer = client.post("/v1/translations", json={"input": texts, "source": source, "target": target}).json()
    outputs = [row["text"] for row in answer["data"]]
    assert sacrebleu.corpus_bleu(outputs, [references]).score > floor


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("I have a dog.", "de", "Ich habe einen Hund."),
        ("Where is the nearest train station?", "es", "¿Dónde está la estación más cercana?"),
        ("Thank you very much.", "fr", "Merci beaucoup."),
    ],
)
def test_a_plain_sentence_has_its_plain_translation(
    client: httpx.Client, text: str, target: str, expected: str
) -> None:
    answer = client.post("/v1/translations", json={"input": text, "source": "en", "target": target}).json()
    assert answer["data"][0]["text"] == expected


def test_sentiment_is_above_its_floor(client: httpx.Client) -> None:
    texts, labels = zip(*SENTIMENT, strict=True)
    assert len(texts) == 200
    answer = client.post("/v1/sentiment", json={"input": texts}).json()
    found = [row["label"] for row in answer["data"]]
    right = np.mean([label == expected for label, expected in zip(found, labels, strict=True)])
    assert right > 0.74
    # The labels are not alike in number: one that is never found would hardly show in the share above.
    recalls = [np.mean([f == e for f, e in zip(found, labels, strict=True) if e == label]) for label in set(labels)]
    assert np.mean(recalls) > 0.60


@pytest.mark.parametrize(("language", "floor"), [("de", 0.90), ("fr", 0.88), ("es", 0.87)])
def test_customers_are_understood_in_other_languages(client: httpx.Client, language: str, floor: float) -> None:
    rows = [(text, label) for text, label, code in customers() if code == language]
    assert len(rows) == 60
    items = client.post("/v1/sentiment", json={"input": [text for text, _ in rows]}).json()["data"]
    assert {(item["model"], item["language"], *item["flags"]) for item in items} == {
        ("sentiment-multilingual", language)
    }
    right = [item["label"] == label for item, (_, label) in zip(items, rows, strict=True)]
    assert np.mean(right) > floor  # as many rows of each label
    complaints = [item["label"] == label for item, (_, label) in zip(items, rows, strict=True) if label == "negative"]
    assert np.mean(complaints) > 0.7


def test_a_text_that_no_model_reads_is_never_silently_neutral(client: httpx.Client) -> None:
    texts = [
        "Il mio ordine non è ancora arrivato.",
        "注文した商品がまだ届きません。",
        "My order still has not arrived.",
    ]
    for model in (None, "sentiment", "sentiment-multilingual"):
        named = {} if model is None else {"model": model}
        items = client.post("/v1/sentiment", json={"input": texts, **named}).json()["data"]
        assert [item["flags"] for item in items] == [["unsupported_language"], ["unsupported_language"], []]


@pytest.mark.parametrize(
    ("place", "category", "area_floor", "right_floor"), [(0, "harassment", 0.87, 0.70), (1, "hate", 0.88, 0.72)]
)
def test_moderation_is_above_its_floors(
    client: httpx.Client, place: int, category: str, area_floor: float, right_floor: float
) -> None:
    assert len(MODERATION) == 200
    rows = [row for row in MODERATION if row[place]]  # each source annotates what it can say
    truths = np.array([int(row[place]) for row in rows])
    answer = client.post("/v1/moderations", json={"input": [text for *_, text in rows]}).json()
    scores = np.array([result["category_scores"][category] for result in answer["results"]])
    flagged = np.array([result["categories"][category] for result in answer["results"]])
    assert area_under_curve(scores, truths) > area_floor
    # At the operating point, of the true rows and of the others alike: few are true of hate.
    assert np.mean([np.mean(flagged[truths == truth] == truth) for truth in (0, 1)]) > right_floor


@pytest.mark.parametrize("category", CATEGORIES)
def test_moderation_knows_the_categories_that_it_has_seen_in_written_sentences_alone(
    client: httpx.Client, category: str
) -> None:
    rows = list(written("test"))
    truths = np.array([row.has_it and row.category == category for row in rows])
    answer = client.post("/v1/moderations", json={"input": [row.text for row in rows]}).json()
    scores = np.array([result["category_scores"][category] for result in answer["results"]])
    flagged = np.array([result["categories"][category] for result in answer["results"]])
    assert area_under_curve(scores, truths) > 0.97
    assert np.mean(flagged[truths]) > 0.85
    assert np.mean(flagged[~truths]) < 0.05


def test_embeddings_are_those_of_the_original(client: httpx.Client) -> None:
    originals = np.load(HERE / "embeddings.npy", allow_pickle=False).astype(np.float32)
    texts = [english for _, english, _ in TRANSLATION[: len(originals)]]
    answer = client.post("/v1/embeddings", json={"model": "embed", "input": texts}).json()
    vectors = np.array([row["embedding"] for row in answer["data"]])
    assert len(vectors) == 200
    assert np.mean(np.sum(vectors * originals, axis=1)) > 0.99
    ours, theirs = (similar - 2 * np.eye(200) for similar in (vectors @ vectors.T, originals @ originals.T))
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) > 0.85
