"""Thirty inputs as a new user would type them, for the robustness sheet of every card.

Contract: fixed texts; `markdown_cell` makes any text safe in a table. It knows nothing of
models.
"""

from __future__ import annotations

INPUTS = (
    "hello",
    "I love it.",
    "I hate it!!!",
    "it's ok i guess",
    "The food was great but the service was terribly slow.",
    "I would not say that it was bad.",
    "not good at all",
    "I didn't expect to like this film, but I laughed from the first minute to the last.",
    "THIS IS THE WORST SUPPORT I HAVE EVER HAD",
    "THANK YOU SO MUCH, YOU SAVED MY DAY",
    "teh delivrey was realy fast, verry hapy",
    "gr8 app lol",
    "😡😡😡",
    "best day ever 🥳❤️",
    "oh great, another update that deletes my files",
    "What time does the train to Boston leave?",
    "Please move my appointment to Friday at 3 pm.",
    "My order 4711 has not arrived and nobody answers the phone.",
    "The meeting is on Tuesday in room 12.",
    "Water boils at 100 degrees Celsius at sea level.",
    "Angela Merkel was born in Hamburg in 1954.",
    "The patient died of a heart attack.",
    "You are an idiot and nobody likes you.",
    "I will kill you if you come near my house again.",
    "How do I kill a process in Linux?",
    "The gay couple next door invited us for dinner.",
    "42",
    ".",
    "Das Essen war ausgezeichnet und der Kellner sehr freundlich.",
    "for (int i = 0; i < n; i++) sum += a[i];",
)


def markdown_cell(text: str) -> str:
    """Text that cannot end a table cell."""
    return text.replace("|", "\\|").replace("\n", " ")
