"""Training rows with dates and times of day in sentences, written as each language writes them.

The sources hold few dates; a model that has not seen the 14th of March in all four languages writes some other day. The
sentences are few and plain, since the model should learn the date.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from models.recipes.translate.made import Row, both_directions

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
WEEKDAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
}
# {day} is "on the 14th of March", {time} is "at half past three": both as the language says them inside a sentence.
SENTENCES = {
    "en": (
        "The meeting is {day} {time}.",
        "I was born {day}.",
        "We arrive {day} {time}.",
        "The shop opens {time}.",
        "My appointment is {day}.",
        "The train leaves {time}.",
        "Can you come {day}?",
        "The concert begins {day} {time}.",
        "Please call me {day} {time}.",
        "The course ends {day}.",
        "I have to work {day}.",
        "See you {day} {time}!",
    ),
    "de": (
        "Das Treffen ist {day} {time}.",
        "Ich wurde {day} geboren.",
        "Wir kommen {day} {time} an.",
        "Das Geschäft öffnet {time}.",
        "Mein Termin ist {day}.",
        "Der Zug fährt {time} ab.",
        "Können Sie {day} kommen?",
        "Das Konzert beginnt {day} {time}.",
        "Bitte rufen Sie mich {day} {time} an.",
        "Der Kurs endet {day}.",
        "Ich muss {day} arbeiten.",
        "Bis {day} {time}!",
    ),
    "fr": (
        "La réunion a lieu {day} {time}.",
        "Je suis né {day}.",
        "Nous arrivons {day} {time}.",
        "Le magasin ouvre {time}.",
        "Mon rendez-vous est {day}.",
        "Le train part {time}.",
        "Pouvez-vous venir {day} ?",
        "Le concert commence {day} {time}.",
        "Appelez-moi {day} {time}, s'il vous plaît.",
        "Le cours se termine {day}.",
        "Je dois travailler {day}.",
        "À bientôt, {day} {time} !",
    ),
    "es": (
        "La reunión es {day} {time}.",
        "Nací {day}.",
        "Llegamos {day} {time}.",
        "La tienda abre {time}.",
        "Mi cita es {day}.",
        "El tren sale {time}.",
        "¿Puede venir {day}?",
        "El concierto empieza {day} {time}.",
        "Por favor, llámeme {day} {time}.",
        "El curso termina {day}.",
        "Tengo que trabajar {day}.",
        "¡Nos vemos {day} {time}!",
    ),
}
_NO_YEAR = 0

# One moment: (day of the month, month from 0, year or _NO_YEAR, weekday from 0), and (hour of 24, minute).
Day = tuple[int, int, int, int]
Time = tuple[int, int]


def _english_day(day: Day, american: bool) -> str:
    number, month, year, _ = day
    name = MONTHS["en"].split()[month]
    if american:
        return f"on {name} {number}" + (f", {year}" if year else "")
    return f"on {number} {name}" + (f" {year}" if year else "")


def _foreign_day(day: Day, language: str) -> str:
    number, month, year, _ = day
    name = MONTHS[language].split()[month]
    if language == "de":
        return f"am {number}. {name}" + (f" {year}" if year else "")
    if language == "fr":
        return f"le {'1er' if number == 1 else number} {name}" + (f" {year}" if year else "")
    return f"el {number} de {name}" + (f" de {year}" if year else "")


def _weekday(day: Day, language: str) -> str:
    name = WEEKDAYS[language].split()[day[3]]
    return {"en": "on ", "de": "am ", "fr": "", "es": "el "}[language] + name


def _english_time(time: Time, american: bool) -> str:
    hour, minute = time
    if not american:
        return f"at {hour}:{minute:02}"
    half = "am" if hour < 12 else "pm"
    twelve = (hour - 1) % 12 + 1
    return f"at {twelve}:{minute:02} {half}" if minute else f"at {twelve} {half}"


def _foreign_time(time: Time, language: str) -> str:
    hour, minute = time
    if language == "de":
        return f"um {hour}:{minute:02} Uhr" if minute else f"um {hour} Uhr"
    if language == "fr":
        return f"à {hour} h {minute:02}" if minute else f"à {hour} h"
    return f"{'a la' if hour == 1 else 'a las'} {hour}:{minute:02}"


def dated(language: str, count: int, rng: random.Random) -> Iterator[Row]:
    """`count` pairs of a foreign language, each with a day, a time of day or both, in both directions."""
    days: tuple[Callable[[Day, bool], tuple[str, str]], ...] = (
        lambda day, american: (_english_day(day, american), _foreign_day(day, language)),
        lambda day, american: (_english_day(day, american), _foreign_day(day, language)),
        lambda day, _: (_weekday(day, "en"), _weekday(day, language)),
    )
    for _ in range(count):
        place = rng.randrange(len(SENTENCES["en"]))
        american = rng.random() < 0.5
        day = (rng.randint(1, 28), rng.randrange(12), rng.choice((_NO_YEAR, rng.randint(1950, 2035))), rng.randrange(7))
        time = (rng.randint(0, 23), rng.choice((0, 0, 15, 30, 30, 45, rng.randrange(60))))
        english_day, foreign_day = rng.choice(days)(day, american)
        english = SENTENCES["en"][place].format(day=english_day, time=_english_time(time, american))
        foreign = SENTENCES[language][place].format(day=foreign_day, time=_foreign_time(time, language))
        yield from both_directions(english, foreign, language, 1.0)
