"""Forms in which models write tool calls. A form is data: texts before, between, in and after calls. A form makes a
grammar that enforces the form in a completion, and a parser for completions.

`models.families.call_finding` finds a model's form from its template. This module knows text only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.families.call_bodies import FILLED, Body, Writer, escaped, merged, spaced
from models.families.call_values import Call, NoValue
from models.signatures import Signature


@dataclass(frozen=True)
class CallForm:
    """The form of a model's calls."""

    begin: str
    """The text before the first call; empty: a completion that begins with a brace is a call."""
    between: str | None
    """The text between two calls; None: a turn has at most one call."""
    end: str
    """The text after the last call."""
    body: Body
    mark: str = ""
    """A token that may come before a call that begins with a brace."""
    text_arguments: bool = False
    """The template takes the arguments of earlier calls as a string."""
    null_content: bool = False
    """The template takes null as the text of a message that has only calls."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts of the form."""
        return (self.begin, self.between or "", self.end, self.mark, *self.body.texts)

    @property
    def begins(self) -> tuple[str, ...]:
        """Texts that begin a call."""
        if not self.begin:
            return ("{", self.mark) if self.mark else ("{",)
        return (FILLED.split(self.begin)[0].split(maxsplit=1)[0],)

    @property
    def comes_first(self) -> bool:
        """Tells whether only the beginning of a completion can be a call."""
        return not self.begin

    @property
    def ends(self) -> str:
        """A text that shows that the call before it is complete; empty: the form has no such text."""
        text = self.end.strip() or (self.between or "").strip()
        return "" if FILLED.search(text) else text

    def shown(self, special_tokens: Mapping[str, int]) -> dict[int, str]:
        """The special tokens of the form, by id; the server must write them out for the parser."""
        return {id: token for token, id in special_tokens.items() if any(token in text for text in self.texts)}

    def parse(self, text: str, tools: Sequence[Signature] = (), *, cut: bool = False) -> list[Call] | None:
        """The calls of a completion, starting with the first; None if the text has more than calls.

        Args:
            text: the completion, with the marks written out.
            tools: the known tools; if a brace alone begins a call, a call of an unknown tool is text.
            cut: a limit ended the completion, so a call without an end is left out.
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
            # Models leave the end out if a token ends the turn, and begin again after the only call.
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
            return calls[:-1] if cut and self.end else calls  # a call without its end does not count

    def _may_begin(self, rest: str, mark: str) -> bool:
        return "".join(mark.split()).startswith("".join(rest.split()))

    def _is_unfinished(self, text: str, at: int, known: Mapping[str, Signature]) -> bool:
        """Tells whether the text begins a call; with a form that has a mark it always does."""
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
            tools: the tools that the model may call; at least one.
            special_tokens: the tokenizer's special tokens with their ids.
            required: the completion is a call without text; otherwise any text is allowed, also before calls.
            several: the completion may have more than one call.

        Raises:
            ValueError: this form cannot write the arguments of a tool.
        """
        writer = Writer({token: id for id, token in self.shown(special_tokens).items()})
        names = [f"f{i}" for i in range(len(tools))]
        one = f"({' | '.join(names)})"
        between = self.between if several and self.between is not None else None
        # One rule has the text after every call, or the lexer would have to look beyond it.
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
    """The common beginning of both texts, up to the end of a mark."""
    length = next((i for i, pair in enumerate(zip(end, between, strict=False)) if pair[0] != pair[1]), None)
    same = end[: min(len(end), len(between)) if length is None else length]
    return same[: max(same.rfind(">"), same.rfind("]")) + 1]
