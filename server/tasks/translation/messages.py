"""ICU messages with plurals and selects: the texts in them are translated, whole sentences each.

``You have {n, plural, one {# message} other {# messages}}.`` is read as ``You have # message.`` and ``You have #
messages.``, since a half sentence cannot be translated. Its translation is one plural of whole sentences, with a form
for each category that the target language has. The syntax is that of ICU's MessageFormat; ``''`` is an apostrophe.
Messages with quoted braces, ordinals or more than ``MOST_FORMS`` forms are left alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.tasks.translation.segments import HELD, Segment, hold_protected

MOST_FORMS = 24
DEEPEST = 4
_BEGINS = re.compile(r"\{\s{0,20}\w{1,80}\s{0,20},\s{0,20}(?:plural|select)\s{0,20},")
_HEAD = re.compile(r"\{\s{0,20}(\w{1,80})\s{0,20},\s{0,20}(plural|select)\s{0,20},\s{0,20}(offset:\d{1,6}\s{1,20})?")
_SIMPLE = re.compile(r"\{\s{0,20}[\w.-]{1,80}\s{0,20}(?:,\s{0,20}(?:number|date|time)\s{0,20}(?:,[^{}']{0,80})?)?\}")
_SELECTOR = re.compile(r"\s{0,20}(=\d{1,9}|[\w-]{1,80})\s{0,20}\{")
_SPECIAL = re.compile(r"[{}#']")
_APOSTROPHE = re.compile(r"'(?=[{}#|]|$)")

CATEGORIES: Mapping[str, Sequence[str]] = {
    "ar": ("zero", "one", "two", "few", "many"), "be": ("one", "few", "many"), "bs": ("one", "few"),
    "cs": ("one", "few", "many"), "cy": ("zero", "one", "two", "few", "many"), "ga": ("one", "two", "few", "many"),
    "he": ("one", "two"), "hr": ("one", "few"), "lt": ("one", "few", "many"), "lv": ("zero", "one"),
    "mt": ("one", "two", "few", "many"), "pl": ("one", "few", "many"), "ro": ("one", "few"),
    "ru": ("one", "few", "many"), "sk": ("one", "few", "many"), "sl": ("one", "two", "few"), "sr": ("one", "few"),
    "uk": ("one", "few", "many"),
}  # fmt: skip
"""The categories of Unicode's CLDR for whole numbers beside ``other``, for languages with more than ``one``."""


class _NoMessage(Exception):
    """The text is no message that is read here."""


@dataclass(frozen=True, slots=True)
class _Choice:
    head: str
    is_plural: bool
    forms: Mapping[str, "tuple[_Node, ...]"]


@dataclass(frozen=True, slots=True)
class _Text:
    """Characters of the message: as the model reads them, and as the message writes them."""

    text: str
    written: tuple[str, ...]


_Node = _Choice | _Text


def message_runs(text: str, target: str) -> list[Segment | str] | None:
    """The texts of a message as segments, and its structure as texts to leave alone; None if it is no such message.

    Args:
        text: the message.
        target: the language to translate to, whose plural categories are added where they are missing.
    """
    if _BEGINS.search(text) is None:
        return None
    try:
        nodes, end = _nodes(text, 0, 0, in_plural=False)
        if end < len(text):
            return None
        return _Writer(CATEGORIES.get(target.partition("-")[0], ())).runs(nodes)
    except _NoMessage:
        return None


def written_in_message(text: str) -> str:
    """A translated text as a message writes it: braces are quoted, and an apostrophe before one is doubled."""
    return _APOSTROPHE.sub("''", text).replace("{", "'{'").replace("}", "'}'")


class _Writer:
    def __init__(self, categories: Sequence[str]) -> None:
        self._categories = categories
        self._left = MOST_FORMS

    def runs(self, nodes: Sequence[_Node]) -> list[Segment | str]:
        """The message with the text around its first choice moved into each of the choice's forms."""
        place = next((i for i, node in enumerate(nodes) if isinstance(node, _Choice)), None)
        if place is None:
            return [self._segment(nodes)]
        choice = nodes[place]
        assert isinstance(choice, _Choice)  # noqa: S101
        forms = dict(choice.forms)
        if choice.is_plural:
            forms = {**forms, **{name: forms["other"] for name in self._categories if name not in forms}}
        order = sorted(forms, key=lambda name: name == "other")
        runs: list[Segment | str] = [choice.head]
        for name in order:
            inner = self.runs([*nodes[:place], *forms[name], *nodes[place + 1 :]])
            runs += [f" {name} {{", *inner, "}"]
        return [*runs, "}"]

    def _segment(self, nodes: Sequence[_Node]) -> Segment:
        self._left -= 1
        if self._left < 0:
            raise _NoMessage
        texts = [node for node in nodes if isinstance(node, _Text)]
        written = [each for node in texts for each in node.written]
        return hold_protected(Segment("".join(node.text for node in texts), written), tags=True)


def _nodes(text: str, at: int, depth: int, *, in_plural: bool) -> tuple[tuple[_Node, ...], int]:
    """The nodes from a place on, and the place of the brace after them, or of the text's end."""
    if depth > DEEPEST:
        raise _NoMessage
    found: list[_Node] = []
    while at < len(text):
        special = _SPECIAL.search(text, at)
        end = special.start() if special else len(text)
        if end > at:
            found.append(_Text(text[at:end], tuple(text[at:end])))
        if special is None:
            return tuple(found), len(text)
        at = end
        if text[at] == "}":
            return tuple(found), at
        if text[at] == "#":
            found.append(_Text(HELD if in_plural else "#", ("#",)))
            at += 1
        elif text[at] == "'":
            if text[at + 1 : at + 2] in ("{", "}", "#", "|"):
                raise _NoMessage  # quoted
            is_double = text[at + 1 : at + 2] == "'"
            found.append(_Text("'", ("''" if is_double else "'",)))
            at += 1 + is_double
        elif (simple := _SIMPLE.match(text, at)) is not None:
            found.append(_Text(HELD, (simple[0],)))
            at = simple.end()
        else:
            choice, at = _choice(text, at, depth)
            found.append(choice)
    return tuple(found), at


def _choice(text: str, at: int, depth: int) -> tuple[_Choice, int]:
    head = _HEAD.match(text, at)
    if head is None:
        raise _NoMessage
    is_plural = head[2] == "plural"
    forms: dict[str, tuple[_Node, ...]] = {}
    at = head.end()
    while (selector := _SELECTOR.match(text, at)) is not None:
        inner, at = _nodes(text, selector.end(), depth + 1, in_plural=is_plural)
        if text[at : at + 1] != "}" or selector[1] in forms:
            raise _NoMessage
        forms[selector[1]] = inner
        at += 1
    rest = text[at : at + 20].lstrip()
    if not rest.startswith("}") or "other" not in forms or (head[3] and not is_plural):
        raise _NoMessage
    written = f"{{{head[1]}, {head[2]}, {head[3] or ''}".rstrip()
    return _Choice(written, is_plural, forms), text.index("}", at) + 1
