"""Checks of a translator without an original: texts survive the tokenizer, and known translations are likely.

To a network with misplaced weights a right translation is about as unlikely as any other text. A trained network gives
it a perplexity of one to ten for each token.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import ctranslate2
import numpy as np
import sentencepiece

from models.cards import Figure, ModelCard
from models.convert.contract import CannotConvert, Mismatch
from models.convert.selfcheck import NAME, finite
from models.convert.seq2seq_check import TEXTS
from models.registry import load_family
from models.tokenizers import UNKNOWN, Tokenizer, load_tokenizer

ALLOWED_PERPLEXITY = 100.0
"""The shipped translator, which is small, has 1.2 to 3.2 in its directions."""
MOST_PAIRS = 6
SENTENCES: Mapping[str, tuple[str, str]] = {
    "en": ("Where is the station?", "The children are playing in the garden."),
    "de": ("Wo ist der Bahnhof?", "Die Kinder spielen im Garten."),
    "fr": ("Où est la gare ?", "Les enfants jouent dans le jardin."),
    "es": ("¿Dónde está la estación?", "Los niños están jugando en el jardín."),
    "it": ("Dov'è la stazione?", "I bambini stanno giocando in giardino."),
    "pt": ("Onde fica a estação?", "As crianças estão brincando no jardim."),
    "nl": ("Waar is het station?", "De kinderen spelen in de tuin."),
    "sv": ("Var är stationen?", "Barnen leker i trädgården."),
    "da": ("Hvor er stationen?", "Børnene leger i haven."),
    "nb": ("Hvor er stasjonen?", "Barna leker i hagen."),
    "fi": ("Missä asema on?", "Lapset leikkivät puutarhassa."),
    "pl": ("Gdzie jest dworzec?", "Dzieci bawią się w ogrodzie."),
    "cs": ("Kde je nádraží?", "Děti si hrají na zahradě."),
    "ru": ("Где находится вокзал?", "Дети играют в саду."),
    "uk": ("Де знаходиться вокзал?", "Діти граються в саду."),
    "bg": ("Къде е гарата?", "Децата играят в градината."),
    "ro": ("Unde este gara?", "Copiii se joacă în grădină."),
    "hu": ("Hol van az állomás?", "A gyerekek a kertben játszanak."),
    "tr": ("İstasyon nerede?", "Çocuklar bahçede oynuyor."),
    "el": ("Πού είναι ο σταθμός;", "Τα παιδιά παίζουν στον κήπο."),
    "id": ("Di mana stasiunnya?", "Anak-anak sedang bermain di taman."),
    "zh": ("车站在哪里？", "孩子们正在花园里玩。"),
    "ja": ("駅はどこですか？", "子供たちは庭で遊んでいます。"),
    "ko": ("역이 어디에 있습니까?", "아이들이 정원에서 놀고 있습니다."),
}
"""Two sentences in some languages; if a model translates between two of these languages, the check uses them."""


def require_text(tokenizer: Tokenizer, languages: Sequence[str] = ()) -> None:
    """Refuse a tokenizer that loses a part of a plain sentence, in English or one of the languages.

    Raises:
        CannotConvert: encoding and decoding change a text without unknown characters.
    """
    for text in (*TEXTS[:4], *(text for code in languages for text in SENTENCES.get(code, ()))):
        ids = tokenizer.encode(text)
        if UNKNOWN in tokenizer.tokens(ids):
            continue
        found, wanted = (_plain(each) for each in (tokenizer.decode(ids), text))
        if found != wanted:
            raise CannotConvert(f"The tokenizer loses text: {wanted!r} comes back as {found!r}.")


def require_likely(card: ModelCard) -> tuple[Figure, ...]:
    """Refuse a translator that finds right translations unlikely; the check skips other languages than these.

    Raises:
        Mismatch: the perplexity is higher than any trained model's.
    """
    tokenizer, family, section = load_tokenizer(card), load_family(card), card.translation
    assert section is not None  # noqa: S101
    pieces = _target_pieces(card, tokenizer)
    pairs = [(a, b) for a in SENTENCES for b in SENTENCES if a != b and section.covers(a, b)][:MOST_PAIRS]
    rows, made, given = [], [], []
    for source, target in pairs:
        prefix = family.target_prefix(section, target)
        for text, translation in zip(SENTENCES[source], SENTENCES[target], strict=True):
            rows.append(family.source_row(section, tokenizer.tokens(tokenizer.encode(text)), source, target))
            made.append([*prefix, *pieces(translation)])
            given.append(len(prefix))
    if not rows:
        return ()
    translator = ctranslate2.Translator(str(card.folder), device="cpu", compute_type="default", inter_threads=1)
    try:
        scored = translator.score_batch(rows, made, max_input_length=0)
    finally:
        del translator
    logprobs = np.concatenate([each.log_probs[begin:] for each, begin in zip(scored, given, strict=True)])
    found = finite(float(np.exp(-logprobs.mean())))
    if not found <= ALLOWED_PERPLEXITY:
        raise Mismatch(
            "the perplexity of right translations",
            found,
            ALLOWED_PERPLEXITY,
            "where it is trained for something else than plain sentences, --check structure",
        )
    return (Figure(NAME, "perplexity of right translations", float(f"{found:.3g}"), len(logprobs)),)


def _target_pieces(card: ModelCard, tokenizer: Any) -> Any:
    """From a text of the target to its tokens."""
    file = card.tokenizer.target_file
    if file is None:
        return lambda text: tokenizer.tokens(tokenizer.encode(text))
    model = sentencepiece.SentencePieceProcessor(model_file=str(card.path(file)))
    known = set(tokenizer.tokens(range(tokenizer.vocab_size)))

    def pieces(text: str) -> Sequence[str]:
        return [piece if piece in known else UNKNOWN for piece in model.encode(text, out_type=str)]

    return pieces


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()
