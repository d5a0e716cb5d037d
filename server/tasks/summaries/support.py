"""Checks a summary's sentences against the sentences of the source that they rest on.

A check finds what was written wrongly from right words: another number, another name or drug, a negation that was lost
or added. It cannot find that right words were put together wrongly, so a sentence without a flag is not proven true.
Numbers are read in all languages as digits, in English also as words; names of drugs and negations in English only.
``docs/summaries.md`` has figures. This module knows no models: vectors come from outside.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from server.tasks.encoding import Floats
from server.tasks.summaries.form import Check, Flag, Span
from server.tasks.text.note import Sentence

MOST_SOURCES = 3
NEAR = 0.40
"""The least cosine between a sentence and a source that it rests on."""
BESIDE = 0.75
"""A further source has at least this share of the nearest one's cosine."""

_TOKEN = re.compile(r"\d++(?:[.,]\d++)*+|[^\W\d_]++(?:['’][^\W\d_]++)*+|[.;:?!,()]")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})++")
_DRUG = re.compile(
    r"[a-z]{3,20}(?:pril|sartan|olol|statin|azole|mycin|cillin|floxacin|cycline|dipine|formin|gliptin|gliflozin|glutide"
    r"|parin|xaban|arin|mab|tinib|vir|zepam|zolam|codone|morphone|setron|triptan|tidine|oxetine|triptyline|profen|olone"
    r"|asone|sonide|terol|zide|semide|dronate|barbital|caine|phylline|thiazide|lukast|curium|fenac|dopa|pentin|gabalin)s?"
)
_SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SPELLED = {word: number for number, word in enumerate(_SMALL.split())} | {
    word: 10 * number for number, word in enumerate(_TENS.split(), 2)
}
_SCOPE_TOKENS = 14
"""A negation reaches so far, counting itself, if nothing ends it before."""
_LABEL_TOKENS = 6
"""Capitals in a label at the beginning of a sentence ("Medical Treatment: ...") are no names."""
_TURNED = 0.15
"""The least share of the compared words that have another negation than in the sources."""
_NO = frozenset(
    ("no", "not", "never", "without", "denies", "denied", "deny", "denying", "negative", "none", "nor", "neither")
)
_ENDS_NO = frozenset((".", ";", ":", "?", "!", "but", "however", "although", "though", "except", "because", "since"))
_ANSWERS_NO = frozenset(("no", "nope", "nah", "never", "none", "not", "negative"))
_ANSWERS_YES = frozenset(("yes", "yeah", "yep", "yup", "sure", "correct", "right", "exactly"))
_COMMON = """a about all also am an and any are as at be been being by can could currently did do does doing for from
had has have having he her here him his how i if in is it its just know like me my now of on one or other
our patient reports she so some states than that the their them then there these they this to today up us
was we well were what when which who will with would you your"""
_LIGHT = frozenset(_COMMON.split())
"""Words that say nothing to which a negation could belong."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a number, and its place."""

    text: str
    start: int
    end: int
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The parts of a sentence that can be compared."""

    numbers: Sequence[Word]
    """Each with its value as text."""
    names: Sequence[Word]
    """Names and drugs, in small letters."""
    words: Sequence[Word]
    """All other words that carry meaning, in small letters."""


def checks_in(language: str | None) -> Sequence[Check]:
    """The checks that are made of summaries in a language."""
    return ("support", "numbers", "names", "negations") if language == "en" else ("support", "numbers")


def sources_of(vector: Floats, vectors: Floats, sentences: Sequence[Sentence]) -> list[Span]:
    """The sentences that one sentence rests on, the nearest first; none if no sentence is near.

    Args:
        vector: of the sentence, shape (d,), of length 1.
        vectors: of the source's ``sentences``, shape (n, d), of length 1.
    """
    cosines = np.einsum("nd,d->n", vectors, vector)
    order = np.argsort(-cosines, kind="stable")[:MOST_SOURCES]
    least = max(NEAR, BESIDE * float(cosines[order[0]]))
    return [
        Span(sentences[int(i)].start, sentences[int(i)].end, float(cosines[i])) for i in order if cosines[i] >= least
    ]


class Source:
    """A source that summaries are checked against."""

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        self._facts = [facts_of(sentence.text) for sentence in sentences]
        self._at = {sentence.start: index for index, sentence in enumerate(sentences)}
        answers = [
            _answer(after.text) if now.text.rstrip().endswith("?") else None for now, after in pairwise(sentences)
        ]
        self._answers = [*answers, None]
        self._asks = [sentence.text.rstrip().endswith("?") for sentence in sentences]
        self._names = [
            {name for each in (*facts.names, *facts.words) for name in _forms(each.text)} for facts in self._facts
        ]

    def faults(self, text: str, sources: Sequence[Span], checks: Sequence[Check]) -> list[Flag]:
        """The faults of a sentence that rests on these sources, in order."""
        if not sources:
            return [Flag("unsupported", 0, len(text))]
        near = [index for span in sources for index in self._around(self._at[span.start])]
        said = facts_of(text)
        found = []
        if "numbers" in checks:
            known = {number.text for index in near for number in self._facts[index].numbers}
            found += [
                Flag("number", each.start, each.end)
                for each in said.numbers
                if each.text not in known and text[each.start : each.end].casefold() != "one"
            ]
        if "names" in checks:
            names = set[str]().union(*(self._names[index] for index in near))
            found += [Flag("name", each.start, each.end) for each in said.names if names.isdisjoint(_forms(each.text))]
        if "negations" in checks and (word := self._turned(said, near)) is not None:
            found.append(Flag("negation", word.start, word.end))
        return sorted(found, key=lambda flag: flag.start)

    def _around(self, index: int) -> range:
        """A sentence and its neighbours, among which a question and its answer are one statement."""
        return range(max(0, index - 1), min(len(self._facts), index + 2))

    def _turned(self, said: Facts, near: Sequence[int]) -> Word | None:
        """The first word that the sources say only without a negation and the sentence with one, or the other way.

        Other words of the sentence may be said as in the sources, but not too many: then the word is another one.
        """
        signs: dict[str, set[bool]] = {}
        for index in near:
            answered = self._answers[index] if self._asks[index] else "yes"
            for word in (*self._facts[index].words, *self._facts[index].names):
                told = {True, False} if answered is None else {word.is_negated or answered == "no"}
                signs.setdefault(word.text, set()).update(told)
        compared = [word for word in (*said.words, *said.names) if word.text in signs]
        turned = [word for word in compared if signs[word.text] == {not word.is_negated}]
        if not turned or len(turned) < _TURNED * len(compared):
            return None
        return min(turned, key=lambda word: word.start)


def facts_of(text: str) -> Facts:
    """The numbers, names and words of a sentence."""
    tokens = list(_TOKEN.finditer(text))
    label = next((i for i, token in enumerate(tokens[:_LABEL_TOKENS]) if token[0] == ":"), -1)
    names: list[Word] = []
    words: list[Word] = []
    scope, is_first = 0, True
    for i, token in enumerate(tokens):
        word, folded = token[0], token[0].casefold()
        scope -= 1
        if folded in _ENDS_NO:
            scope = 0
        if (folded in _NO and text[token.end() : token.end() + 2].strip()[:1] != ",") or folded.endswith(
            ("n't", "n’t")
        ):
            scope = _SCOPE_TOKENS
        if len(word) > 2 and word[0].isalpha() and folded not in _SPELLED and folded not in _NO:
            is_name = _DRUG.fullmatch(folded) is not None or (word[0].isupper() and not is_first and i > label)
            if is_name:
                names.append(Word(folded, token.start(), token.end(), scope > 0))
            elif folded not in _LIGHT:
                words.append(Word(folded, token.start(), token.end(), scope > 0))
        is_first = (is_first and not word[0].isalnum()) or word in (":", "?", "!")
    return Facts(list(_numbers(tokens)), names, words)


def _numbers(tokens: Sequence[re.Match[str]]) -> Iterator[Word]:
    """Yield the numbers in digits and in English words: "two thousand eight", "nineteen sixty one", "sixty-one"."""
    thousands, value, start, end = 0, -1, 0, 0

    def made() -> Iterator[Word]:
        if value >= 0 or thousands:
            yield Word(str(thousands + max(0, value)), start, end)

    for token in tokens:
        word = token[0].casefold()
        if word == "and" and (thousands or value >= 100):
            continue
        if word == "hundred" and 0 < value < 100:
            value, end = value * 100, token.end()
        elif word == "thousand" and value > 0 and not thousands:
            thousands, value, end = value * 1000, -1, token.end()
        elif (more := _SPELLED.get(word)) is not None:
            joined = _joined(value, more)
            if joined is None:
                yield from made()
                thousands = 0
            if joined is None or (value < 0 and not thousands):
                start = token.start()
            value, end = more if joined is None else joined, token.end()
        else:
            yield from made()
            thousands, value = 0, -1
            if word[0].isdigit():
                yield Word(_value(word), token.start(), token.end())
    yield from made()


def _joined(value: int, more: int) -> int | None:
    """The number that two spelled numbers after each other mean; None if they are two numbers."""
    if value < 0:
        return more
    if (value % 100 == 0 and value >= 100) or (value % 100 >= 20 and value % 10 == 0 and 0 < more < 10):
        return value + more
    return value * 100 + more if 10 <= value < 100 and 10 <= more < 100 else None  # a year, as nineteen sixty


def _value(digits: str) -> str:
    """A number's value as text, the same for 1,000 and 1000, for 05 and 5."""
    plain = digits.replace(",", "") if _THOUSANDS.fullmatch(digits) else digits.replace(",", ".")
    whole, point, rest = plain.partition(".")
    rest = rest.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{rest}" if point and rest else "")


def _forms(word: str) -> Iterator[str]:
    """A word in the forms in which it counts as the same word."""
    plain = word.removesuffix("'s").removesuffix("’s")
    yield plain
    if len(plain) > 3:
        yield plain.removesuffix("s")


def _answer(text: str) -> str | None:
    """The answer, yes or no, with which a sentence after a question begins; None without one."""
    for match in _TOKEN.finditer(text[:80].partition(":")[2] or text[:80]):
        word = match[0].casefold()
        if word in _ANSWERS_NO:
            return "no"
        return "yes" if word in _ANSWERS_YES else None
    return None
