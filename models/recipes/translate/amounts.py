"""Training rows with identifiers, names and sums of money in sentences, written as each language writes them.

The sources hold hardly any order number or price; without such rows a model cuts identifiers and loses currency signs.
The sentences are few and plain, since the model should learn the amount.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from models.recipes.translate.made import Row, both_directions, made_up_name

# {code} is an identifier, {money} a sum, {name} a person's name, {count} a whole number from 2 on.
SENTENCES = {
    "en": (
        "Invoice {code} is for {money}.",
        "{name} paid {money} for it.",
        "The reference number is {code}.",
        "That makes {money}, please.",
        "The price fell from {money} to {more}.",
        "My name is {name}, and my number is {code}.",
        "Do you know {name}?",
        "The file {code} has {count} pages.",
        "We owe {name} {money}.",
        "{count} boxes cost {money}.",
        "Please write {code} on the form.",
        "Flight {code} is {count} minutes late.",
        "{name} and {other} live in house {count}.",
        "The fee is {money} a month.",
        "Is {code} the right code?",
        "There is a {count}% discount on everything over {money}.",
    ),
    "de": (
        "Die Rechnung {code} beläuft sich auf {money}.",
        "{name} hat {money} dafür bezahlt.",
        "Das Aktenzeichen lautet {code}.",
        "Das macht {money}, bitte.",
        "Der Preis ist von {money} auf {more} gefallen.",
        "Ich heiße {name}, und meine Nummer ist {code}.",
        "Kennen Sie {name}?",
        "Die Datei {code} hat {count} Seiten.",
        "Wir schulden {name} {money}.",
        "{count} Kisten kosten {money}.",
        "Bitte schreiben Sie {code} auf das Formular.",
        "Der Flug {code} hat {count} Minuten Verspätung.",
        "{name} und {other} wohnen in Haus {count}.",
        "Die Gebühr beträgt {money} im Monat.",
        "Ist {code} der richtige Code?",
        "Auf alles über {money} gibt es {count} % Rabatt.",
    ),
    "fr": (
        "La facture {code} s'élève à {money}.",
        "{name} l'a payé {money}.",
        "Le numéro de référence est {code}.",
        "Cela fait {money}, s'il vous plaît.",
        "Le prix est passé de {money} à {more}.",
        "Je m'appelle {name} et mon numéro est {code}.",
        "Connaissez-vous {name} ?",
        "Le fichier {code} compte {count} pages.",
        "Nous devons {money} à {name}.",
        "{count} boîtes coûtent {money}.",
        "Veuillez écrire {code} sur le formulaire.",
        "Le vol {code} a {count} minutes de retard.",
        "{name} et {other} habitent au numéro {count}.",
        "Les frais sont de {money} par mois.",
        "{code} est-il le bon code ?",
        "Il y a {count} % de réduction sur tout ce qui dépasse {money}.",
    ),
    "es": (
        "La factura {code} es de {money}.",
        "{name} pagó {money} por ello.",
        "El número de referencia es {code}.",
        "Son {money}, por favor.",
        "El precio ha bajado de {money} a {more}.",
        "Me llamo {name} y mi número es {code}.",
        "¿Conoce a {name}?",
        "El archivo {code} tiene {count} páginas.",
        "Le debemos {money} a {name}.",
        "{count} cajas cuestan {money}.",
        "Por favor, escriba {code} en el formulario.",
        "El vuelo {code} lleva {count} minutos de retraso.",
        "{name} y {other} viven en la casa {count}.",
        "La tarifa es de {money} al mes.",
        "¿Es {code} el código correcto?",
        "Hay un {count} % de descuento en todo lo que supere los {money}.",
    ),
}
SIGNS = ("€", "€", "$", "$", "£", "£", "¥")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def code(rng: random.Random) -> str:
    """An identifier as shops, airlines and offices give them."""

    def letters(count: int) -> str:
        return "".join(rng.choice(_LETTERS) for _ in range(count))

    def digits(count: int) -> str:
        return "".join(rng.choice("0123456789") for _ in range(count))

    makers = (
        lambda: f"{letters(1)}-{digits(4)}",
        lambda: f"{letters(2)}{digits(rng.randint(2, 6))}",
        lambda: f"{letters(3)}-{digits(3)}-{digits(2)}",
        lambda: digits(rng.randint(4, 10)),
        lambda: f"#{digits(rng.randint(3, 7))}",
        lambda: f"{digits(4)}/{digits(3)}",
        lambda: f"{letters(2)} {digits(rng.randint(2, 4))}",
        lambda: f"{letters(1)}{digits(1)}{letters(1)}{digits(2)}",
    )
    return rng.choice(makers)()


def money(cents: int, sign: str, language: str) -> str:
    """A sum as the language writes it: $1,250.50; 1.250,50 €; 1 250,50 €."""
    units, rest = divmod(cents, 100)
    if language == "en":
        return f"{sign}{units:,}" + (f".{rest:02}" if rest else "")
    grouped = f"{units:,}".replace(",", " " if language == "fr" else ".")
    return grouped + (f",{rest:02}" if rest else "") + f" {sign}"


def _cents(rng: random.Random) -> int:
    units = rng.randrange(1, 10 ** rng.choice((1, 2, 2, 3, 3, 4, 5)))
    return 100 * units + rng.choice((0, 0, 0, 50, 90, 95, 99, rng.randrange(100)))


def amounts(language: str, names: Sequence[str], count: int, rng: random.Random) -> Iterator[Row]:
    """`count` pairs of a foreign language, each with identifiers, names, numbers or sums, in both directions."""

    def name() -> str:
        return rng.choice(names) if rng.random() < 0.4 else made_up_name(rng)

    for _ in range(count):
        place = rng.randrange(len(SENTENCES["en"]))
        sums, sign = sorted((_cents(rng), _cents(rng)), reverse=True), rng.choice(SIGNS)
        same = {
            "code": code(rng),
            "count": str(rng.randrange(2, 100)),
            "name": " ".join(name() for _ in range(rng.choice((1, 2)))),
            "other": name(),
        }
        english, foreign = (
            SENTENCES[side][place].format(**same, money=money(sums[0], sign, side), more=money(sums[1], sign, side))
            for side in ("en", language)
        )
        yield from both_directions(english, foreign, language, 1.0)
