"""Forms in which models write calls of tools. A form is data: texts that stand before, between, in and after calls.
From them follow a grammar that holds a completion to the form, and a reader of what was written.

`models.families.call_finding` finds a model's form by its template. Knows text only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.families.call_bodies import FILLED, Body, Writer, escaped, merged, spaced
from models.families.call_values import Call, NoValue
from models.signatures import Signature


@dataclass(frozen=True)
class CallForm:
    """How a model writes calls."""

    begin: str
    """Before the first call; empty: a completion that begins with a brace is a call."""
    between: str | None
    """Between two calls; None: a turn has one at most."""
    end: str
    """After the last."""
    body: Body
    mark: str = ""
    """A token that may come before a call that begins with a brace."""
    text_arguments: bool = False
    """The template takes the arguments of earlier calls as a text."""
    null_content: bool = False
    """The template takes null for the text of a message that only calls."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts of it."""
        return (self.begin, self.between or "", self.end, self.mark, *self.body.texts)

    @property
    def begins(self) -> tuple[str, ...]:
        """Texts that begin a call."""
        if not self.begin:
            return ("{", self.mark) if self.mark else ("{",)
        return (FILLED.split(self.begin)[0].split(maxsplit=1)[0],)

    @property
    def comes_first(self) -> bool:
        """Whether only the beginning of a completion can be a call."""
        return not self.begin

    @property
    def ends(self) -> str:
        """A text that shows that the call before it is whole; empty: none does."""
        text = self.end.strip() or (self.between or "").strip()
        return "" if FILLED.search(text) else text

    def shown(self, special_tokens: Mapping[str, int]) -> dict[int, str]:
        """The special tokens of the form, by id: they have to be written out for the reader."""
        return {id: token for token, id in special_tokens.items() if any(token in text for text in self.texts)}

    def parse(self, text: str, tools: Sequence[Signature] = (), *, cut: bool = False) -> list[Call] | None:
        """The calls of a completion from the first on; None where the text is not all calls.

        Args:
            text: with the marks written out.
            tools: those there are; where a brace alone begins a call, a call of another one is text.
            cut: a limit ended the completion, so what begins as a call and has no end is left out.
        """
        known = {tool.name: tool for tool in tools}
        text = text.strip()
        if self.mark:
            text = text.removeprefix(self.mark)
        calls: list[Call] = []
        at = 0
        before = self.begin
        while True:
            begun = spaced(before).match(text, at)
            if begun is None:
                return calls if cut and self._may_begin(text[at:], before) else None
            try:
                call, end = self.body.read(text, begun.end(), known)
            except (NoValue, RecursionError):
                unfinished = cut and self._is_unfinished(text, begun.end(), known)
                return calls if unfinished else None
            if self.comes_first and call.name not in known:
                return None
            calls.append(call)
            last = spaced(self.end).match(text, end)
            if last is not None and not text[last.end() :].strip():
                return calls
            # Models leave the end out where a token ends the turn, and begin again where one call would do.
            again = self.between if self.between is not None else self.end + self.begin
            if spaced(again).match(text, end) is not None and again:
                at, before = end, again
                continue
            if last is not None and self.begin and spaced(self.begin).match(text, last.end()) is not None:
                at, before = last.end(), self.begin
                continue
            rest = text[end:].strip()
            unfinished = self._may_begin(rest, self.end) or (cut and self._may_begin(rest, again))
            if not unfinished:
                return None
            return calls[:-1] if cut and self.end else calls  # a call without its end is none

    def _may_begin(self, rest: str, mark: str) -> bool:
        return "".join(mark.split()).startswith("".join(rest.split()))

    def _is_unfinished(self, text: str, at: int, known: Mapping[str, Signature]) -> bool:
        """Whether what comes is the beginning of a call: of a form with a mark it always is."""
        if not self.comes_first:
            return True
        said = text[at:]
        begins = [json.dumps({"name": name})[:-1] for name in known]
        return any(said.startswith(one) or one.startswith(said) for one in begins)

    def grammar(
        self, tools: Sequence[Signature], special_tokens: Mapping[str, int], *, required: bool, several: bool
    ) -> str:
        """The grammar of a completion that may call tools.

        Args:
            tools: those that may be called; at least one.
            special_tokens: of the tokenizer, with their ids.
            required: a call is made, and nothing said; else any text, also before calls.
            several: more than one call may be made.

        Raises:
            ValueError: the arguments of a tool cannot be written in this form.
        """
        writer = Writer({token: id for id, token in self.shown(special_tokens).items()})
        names = [f"f{i}" for i in range(len(tools))]
        one = f"({' | '.join(names)})"
        between = self.between if several and self.between is not None else None
        # What stands after every call is written once, or the lexer would have to look beyond it.
        shared = "" if between is None else _shared(self.end, between)
        calls = [one, *writer.parts(shared)]
        if between is not None:
            calls.append(f"({merged([*writer.parts(between[len(shared) :]), one, *writer.parts(shared)])})*")
        calls += writer.parts(self.end[len(shared) :])
        lines = [line for name, tool in zip(names, tools, strict=True) for line in self.body.rule(name, tool, writer)]
        if required:
            return "\n".join([f"start: {merged([*writer.parts(self.begin), *calls])}", *lines])
        if self.comes_first:
            return "\n".join([f"start: TEXT | {merged(calls)}", r"TEXT: /[^{\s](?s:.*)/", *lines])
        if writer.begins_special(self.begin):
            first = merged([*writer.parts(self.begin), *calls])
            return "\n".join([f"start: TEXT? | TEXT? {first}", "TEXT: /(?s:.+)/", *lines])
        items, rules = writer.until("first", self.begin)
        text = f"TEXT: /(?s:.+)/ & ~/(?s:.*){escaped(self.begins[0])}(?s:.*)/"
        return "\n".join([f"start: TEXT | {merged([*items, *calls])}", *rules, text, *lines])


def _shared(end: str, between: str) -> str:
    """What both begin with, up to the end of a mark."""
    length = next((i for i, pair in enumerate(zip(end, between, strict=False)) if pair[0] != pair[1]), None)
    same = end[: min(len(end), len(between)) if length is None else length]
    return same[: max(same.rfind(">"), same.rfind("]")) + 1]
