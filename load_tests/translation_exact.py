"""Counts silent changes of numbers and signs in sentences: ``python -m load_tests.translation_exact``.

600 sentences in each of the six directions of the shipped model with a number, an identifier, an address, a name in
another script in each, and every printable sign of several blocks in a carrier sentence. Counted are those that came
through as they were (or as the target's language writes the same number), those that did not and are flagged, and those
that changed without a word: of these there should be none. The judgement is made of what was put into the sentence, and
shares nothing with the server's.
"""

import argparse
import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from load_tests.client import Connection, post
from load_tests.served import server

CARRIERS = {
    "en": (
        "The number is {}.",
        "Please write {} on the form.",
        "We talked about {} yesterday.",
        "My brother sent me {} this morning.",
        "Do you know what {} means?",
        "I cannot find {} in the list.",
    ),
    "de": (
        "Die Nummer ist {}.",
        "Bitte schreiben Sie {} auf das Formular.",
        "Wir haben gestern über {} gesprochen.",
        "Mein Bruder hat mir heute {} geschickt.",
        "Wissen Sie, was {} bedeutet?",
        "Ich kann {} in der Liste nicht finden.",
    ),
    "fr": (
        "Le numéro est {}.",
        "Écrivez {} sur le formulaire, s'il vous plaît.",
        "Nous avons parlé de {} hier.",
        "Mon frère m'a envoyé {} ce matin.",
        "Savez-vous ce que {} veut dire ?",
        "Je ne trouve pas {} dans la liste.",
    ),
    "es": (
        "El número es {}.",
        "Escriba {} en el formulario, por favor.",
        "Ayer hablamos de {}.",
        "Mi hermano me envió {} esta mañana.",
        "¿Sabe usted qué significa {}?",
        "No encuentro {} en la lista.",
    ),
}
DIRECTIONS = [("en", "de"), ("en", "fr"), ("en", "es"), ("de", "en"), ("fr", "en"), ("es", "en")]
BLOCKS = {
    "Latin-1": (0x21, 0x100), "Latin Extended-A": (0x100, 0x180), "general punctuation": (0x2010, 0x2060),
    "currency": (0x20A0, 0x20C1), "arrows": (0x2190, 0x2200), "mathematics": (0x2200, 0x2300),
}  # fmt: skip
SIGN_CARRIERS = {"en": "The sign {} is printed here.", "de": "Das Zeichen {} steht hier."}


@dataclass(frozen=True)
class Case:
    """A sentence, and what of it must be in its translation."""

    kind: str
    text: str
    allowed: tuple[str, ...]
    """Any of these, once."""


def number(random_: random.Random, language: str, digits: int, decimals: int) -> tuple[str, tuple[str, ...]]:
    """A number as the language writes it, and all that other languages write of it."""
    whole = random_.randrange(10 ** (digits - 1), 10**digits)
    point, group = (".", ",") if language == "en" else (",", "\u202f" if language == "fr" else ".")
    tail = f"{random_.randrange(10**decimals):0{decimals}}" if decimals else ""
    grouped = [f"{whole:,}".replace(",", sign) for sign in (",", ".", " ", "\u00a0", "\u202f", "")]
    allowed = tuple(
        each + (mark + tail if tail else "")
        for each in dict.fromkeys(grouped)
        for mark in (".", ",")
        if mark not in each or not tail
    )
    return f"{whole:,}".replace(",", group) + (point + tail if tail else ""), allowed


def things(random_: random.Random, language: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """A kind of each thing, as it is written, and what may stand for it."""

    def digits(count: int) -> str:
        return "".join(random_.choice("0123456789") for _ in range(count))

    def letters(count: int) -> str:
        return "".join(random_.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(count))

    def same(kind: str, text: str) -> tuple[str, str, tuple[str, ...]]:
        return kind, text, (text,)

    for kind, size, decimals in (("integer", 3, 0), ("thousands", 5, 0), ("decimal", 2, 1), ("sum", 4, 2)):
        text, allowed = number(random_, language, size, decimals)
        yield kind, text, allowed
    for unit in ("mg", "km", "°C", "%", "€", "kWh", "GB"):
        text, allowed = number(random_, language, random_.choice((1, 2, 3)), random_.choice((0, 1)))
        around = [each + gap + unit for each in allowed for gap in ("", " ", "\u00a0", "\u202f")]
        before = [unit + gap + each for each in allowed for gap in ("", " ", "\u00a0")] if unit == "€" else []
        yield "unit", f"{text} {unit}", (*around, *before)
    text, allowed = number(random_, language, 4, 2)
    yield (
        "price",
        f"${text}",
        (*(f"${each}" for each in allowed), *(f"{each}{gap}$" for each in allowed for gap in ("", " ", "\u00a0"))),
    )
    yield same("IBAN", f"DE{digits(2)} {digits(4)} {digits(4)} {digits(4)} {digits(4)} {digits(2)}")
    yield same("VAT", f"BE0{digits(9)}")
    yield same("order", f"#{digits(5)}")
    yield same("order", f"{letters(2)}-{digits(5)}")
    yield same("version", f"v{digits(1)}.{digits(2)}.{digits(1)}")
    yield same("MAC", ":".join(f"{random_.randrange(256):02X}" for _ in range(6)))
    yield same("date", f"{random_.randrange(1, 13):02}/{random_.randrange(1, 29):02}/2026")
    yield same("date", f"2026-{random_.randrange(1, 13):02}-{random_.randrange(1, 29):02}")
    yield same("time", f"{random_.randrange(10, 24)}:{random_.randrange(10, 60)}")
    yield same("mail", f"{random_.choice(('info', 'anna.k'))}{digits(2)}@example.com")
    yield same("web", f"https://example.org/{letters(3).lower()}/{digits(3)}?a=1")
    yield same("web", f"example{digits(2)}.com")
    yield same("file", f"report{digits(2)}.{random_.choice(('pdf', 'yaml', 'docx', 'csv'))}")
    yield same("hashtag", f"#{random_.choice(('houses', 'summer', 'music'))}{digits(2)}")
    yield same("mention", f"@{random_.choice(('anna', 'tom_k'))}{digits(1)}")
    yield same("emoji", random_.choice(("😀", "👍🏽", "🚗", "❤️", "🇩🇪")))
    yield same(
        "name", random_.choice(("Андрей", "山田太郎", "Γιώργος", "محمد", "Łukasz", "Øystein", "Dvořák", "김민수"))
    )
    yield same("phone", f"+49 30 {digits(3)} {digits(4)}")
    yield same("address", f"192.168.{random_.randrange(256)}.{random_.randrange(256)}")


def cases(language: str, count: int, seed: int) -> list[Case]:
    """Generated sentences."""
    random_ = random.Random(f"{language} {seed}")
    made: list[Case] = []
    while len(made) < count:
        for kind, text, allowed in things(random_, language):
            carrier = random_.choice(CARRIERS[language])
            made.append(Case(kind, carrier.format(text), allowed))
    return made[:count]


def signs(language: str) -> list[Case]:
    """Every printable sign of the blocks in a sentence."""
    return [
        Case(block, SIGN_CARRIERS[language].format(sign), (sign,))
        for block, (first, after) in BLOCKS.items()
        for sign in map(chr, range(first, after))
        if sign.isprintable() and not sign.isspace() and not (sign.isascii() and sign.isalnum())
    ]


def came_through(case: Case, made: str) -> bool:
    """Whether what must be there is there, once, with no digit or sign of replacement beside it."""
    if "\ufffd" in made:
        return False
    for allowed in sorted(case.allowed, key=len, reverse=True):
        if made.count(allowed) == 1 or (allowed in ".,:;!?" and allowed in made):
            rest = made.replace(allowed, "", 1)
            return not any(sign.isdecimal() for sign in rest)
    return False


async def translated(port: int, texts: list[str], source: str, target: str, model: str) -> list[dict[str, object]]:
    """The server's answers."""
    connection = await Connection.to(port)
    items: list[dict[str, object]] = []
    for begin in range(0, len(texts), 100):
        body = {"model": model, "input": texts[begin : begin + 100], "source": source, "target": target}
        answer = await connection.send(post("/v1/translations", body))
        assert answer.status == 200, answer.body
        items += json.loads(answer.body)["data"]
    connection.close()
    return items


def judged(found: list[Case], items: list[dict[str, object]], show: Callable[[str], None]) -> Counter[tuple[str, str]]:
    """How many of each kind came through, are flagged, or changed without a word."""
    counted: Counter[tuple[str, str]] = Counter()
    for case, item in zip(found, items, strict=True):
        result = "kept" if came_through(case, str(item["text"])) else "flagged" if item["flags"] else "silent"
        counted[case.kind, result] += 1
        if result != "kept":
            show(f"{result}: {case.text} -> {item['text']} {item['flags']}")
    return counted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=600, help="sentences of each direction")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print what did not come through")
    options = parser.parse_args()
    show = print if options.show else lambda line: None
    with server(["translate"]) as served:
        for source, target in DIRECTIONS:
            of_directions = [("sentences", cases(source, options.count, options.seed))]
            if source in SIGN_CARRIERS and (source, target) in (("en", "de"), ("de", "en")):
                of_directions.append(("signs", signs(source)))
            for what, found in of_directions:
                items = asyncio.run(translated(served.port, [case.text for case in found], source, target, "translate"))
                counted = judged(found, items, show)
                totals = Counter[str]()
                for (_, result), number_ in counted.items():
                    totals[result] += number_
                bad = {kind: number_ for (kind, result), number_ in sorted(counted.items()) if result != "kept"}
                print(f"{source}-{target} {what}: {dict(totals)} {bad}", flush=True)


if __name__ == "__main__":
    main()
