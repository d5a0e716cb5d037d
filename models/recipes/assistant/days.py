"""Days and times in spoken form and in calls, and system messages that state the current day.

A day has a dozen spoken forms ("tomorrow", "on Friday", "the 14th"). If the system message states the current day, a
call has the day as YYYY-MM-DD; otherwise a call repeats the spoken words. Times of day become HH:MM. Original text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from models.families.hearth_assistant import Call, Message

FIRST_YEAR, _YEARS = 2020, 12
SGD_TODAY = date(2019, 3, 1)  # the day on which all of the schema-guided dialogues play
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_TODAY = (
    "Today is {weekday}, {iso}.", "Today is {weekday}, {iso}.", "Today is {iso}, a {weekday}.",
    "Today's date is {weekday}, {iso}.", "Current date: {iso} ({weekday}).", "It is {weekday}, {iso}.",
    "Date: {weekday}, {iso}", "The date is {weekday}, {day} {month} {year}.",
    "Today is {weekday}, {month} {day}, {year}.",
)  # fmt: skip


def any_day(rng: random.Random) -> date:
    """A day after the year of the dialogues."""
    return date(FIRST_YEAR, 1, 1) + timedelta(rng.randrange(365 * _YEARS))


def says_today(today: date, rng: random.Random) -> str:
    """A sentence of a system message that names the day."""
    return rng.choice(_TODAY).format(
        weekday=WEEKDAYS[today.weekday()],
        iso=today.isoformat(),
        day=today.day,
        month=MONTHS[today.month - 1],
        year=today.year,
    )


def said_day(today: date, rng: random.Random) -> tuple[str, str]:
    """A day of the next weeks in spoken form, and in a call's form."""
    kind = rng.random()
    ahead = rng.randint(1, 7) if kind < 0.45 else rng.choice((rng.randint(1, 13), rng.randint(1, 28)))
    if kind < 0.2:
        ahead = rng.choice((0, 1, 1, 1, 2, 2))
        return ("today", "tomorrow", "the day after tomorrow")[ahead], (today + timedelta(ahead)).isoformat()
    day = today + timedelta(ahead)
    weekday, month = WEEKDAYS[day.weekday()], MONTHS[day.month - 1]
    if kind < 0.45:
        said = rng.choice((weekday, weekday, f"next {weekday}", f"this {weekday}"))
    elif kind < 0.5:
        said = rng.choice((f"in {ahead} days", f"{ahead} days from now")) if ahead > 1 else "in one day"
    elif kind < 0.53:
        day, said = today + timedelta(7), rng.choice(("in a week", "a week from today"))
    elif kind < 0.8:
        said = rng.choice((f"{month} {day.day}", f"{month} {ordinal(day.day)}", f"{day.day} {month}"))
        said = rng.choice((said, said, f"the {ordinal(day.day)} of {month}"))
    elif kind < 0.88:
        said = f"the {ordinal(day.day)}"
    else:
        said = day.isoformat()
    return said, day.isoformat()


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def said_time(rng: random.Random) -> tuple[str, str]:
    """A time of day in spoken form, and in a call's form."""
    hour, minute = rng.randint(7, 21), rng.choice((0, 0, 0, 15, 30, 30, 45, rng.randrange(0, 60, 5)))
    of_clock = (hour - 1) % 12 + 1
    half = "am" if hour < 12 else "pm"
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    forms = [f"{hour:02}:{minute:02}", f"{of_clock}:{minute:02} {half}", f"{of_clock}:{minute:02}{half}"]
    if minute == 0:
        forms += [f"{of_clock} {half}", f"{of_clock}{half}", f"{rng.choice((of_clock, NUMBERS[of_clock]))} {part}"]
        forms += ["noon"] * 2 if hour == 12 else []
    elif minute in (15, 30):
        forms.append(f"{'half' if minute == 30 else 'quarter'} past {NUMBERS[of_clock]} {part}")
    elif minute == 45 and hour not in (11, 12, 17):
        forms.append(f"quarter to {NUMBERS[of_clock % 12 + 1]} {part}")
    return rng.choice(forms), f"{hour:02}:{minute:02}"


_MARCH = re.compile(
    r"\b(?P<iso>2019-\d\d-\d\d)\b"
    r"|\b(?P<month>mar(?:ch|\.)?) (?:the )?(?P<after>\d{1,2})(?P<ending>st|nd|rd|th)?\b(?![:\d])"
    r"|\b(?P<before>\d{1,2})(?P<its>st|nd|rd|th)? (?:of )?march\b"
    r"|\bthe (?P<alone>\d{1,2})(?:st|nd|rd|th)\b(?! (?:of )?march\b)"
    rf"|\b(?P<weekday>{'|'.join(WEEKDAYS)})\b",
    re.IGNORECASE,
)


def moved(messages: Sequence[Message], today: date) -> list[Message]:
    """A schema-guided dialogue on another day: dates, days of March and weekdays move by the same number of days."""
    by = today - SGD_TODAY

    def other(found: re.Match[str]) -> str:
        text = found[0]
        if weekday := found["weekday"]:
            name = WEEKDAYS[(WEEKDAYS.index(weekday.capitalize()) + by.days) % 7]
            return name.lower() if weekday.islower() else name
        if found["iso"]:
            try:
                return (date.fromisoformat(text) + by).isoformat()
            except ValueError:
                return text
        number = int(found["after"] or found["before"] or found["alone"])
        if not 1 <= number <= 31:
            return text
        day = SGD_TODAY.replace(day=number) + by
        month = MONTHS[day.month - 1]
        if found["after"]:
            said = f"{month} {ordinal(day.day) if found['ending'] else day.day}"
        elif found["before"]:
            said = f"{ordinal(day.day) if found['its'] else day.day} {'of ' if ' of ' in text.lower() else ''}{month}"
        else:
            return f"the {ordinal(day.day)}"
        return said.lower() if text.islower() else said

    def move(text: str) -> str:
        return _MARCH.sub(other, text)

    return [
        replace(
            message,
            content=move(message.content),
            calls=tuple(Call(c.name, {k: move(str(v)) for k, v in c.arguments.items()}) for c in message.calls),
        )
        for message in messages
    ]
