"""Jinja2 for templates from unknown authors: it bars them from Python's internals and limits their time and memory.

Chat templates come with models of any origin. Short prompts are rendered on the event loop, long ones in a thread.
Jinja2's sandbox keeps a template from Python's internals, but not from nested loops or texts of gigabytes. So this
sandbox counts and times the turns of loops and the calls. It also computes the size of a result before it allows `*`,
`ljust` or `join`, because these make large strings of short arguments.
"""

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_TURNS = 500_000
"""The most turns of loops and calls in one rendering, together. A long conversation with tools takes thousands."""
MOST_CPU_S = 1.0
MOST_CHARACTERS = 16_000_000
"""The most characters of one text. A request's body has a fraction of that."""

NUMBER = re.compile(r"\d+")
CONTEXTS = (Context, nodes.EvalContext, jinja2.Environment)
"""Types of the argument that Jinja2 passes to some filters before the template's own arguments."""
FORMATS = frozenset({"format", "format_map"})
GROWING = frozenset({"center", "expandtabs", "indent", "join", "ljust", "replace", "rjust", "zfill"})
"""Filters and methods whose result can be larger than their arguments, up to the product of two arguments' sizes."""


class _Spent(threading.local):
    """The turns and the start time of the rendering in this thread.

    The event loop and threads render prompts at the same time, and each thread has its own clock of processor time.
    """

    turns = 0
    began_s = 0.0


class Sandbox(ImmutableSandboxedEnvironment):
    """The Jinja2 environment of chat templates. Each thread does one rendering at a time."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        del self.globals["lipsum"]
        self.filters |= {"counted": self._counted, "sized": _sized}
        for name in GROWING | FORMATS:
            if name in self.filters:
                self.filters[name] = _asked(name, self.filters[name])
        self._spent = _Spent()

    def text(self, template: jinja2.Template, variables: Mapping[str, Any]) -> str:
        """Render a template.

        Raises:
            jinja2.TemplateError: the template takes too much time or memory, uses something that the sandbox forbids,
                or has an error.
        """
        self._spent.turns, self._spent.began_s = 0, time.thread_time()
        parts: list[str] = []
        size = 0
        try:
            for part in template.generate(variables):
                size += len(part)
                if size > MOST_CHARACTERS:
                    raise SecurityError("its text does not end")
                parts.append(part)
        except RecursionError:
            raise SecurityError("its macros call each other without end") from None
        return "".join(parts)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # Jinja2's names
        """Call a function for a template, after a check of the size of its result."""
        __self._turn()
        name = getattr(__obj, "__name__", "")
        # Jinja2's sandbox replaces a text's `format` by its own function, which wraps the method.
        target = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        if isinstance(target, str) and name in GROWING | FORMATS:
            _ask(name, [target, *args, *kwargs.values()])
        return _sized(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute an operator of a template, after a check of the size of its result."""
        if operator == "%" and isinstance(left, str):
            _ask("format", [left, right])
        elif operator == "*" and (isinstance(left, Sequence) or isinstance(right, Sequence)):
            if _extent(left) * _extent(right) > MOST_CHARACTERS:
                raise SecurityError("a text is too long")
        elif operator == "**" and (abs(left) > 10_000 or abs(right) > 64):
            raise SecurityError("a number is too large")
        return _sized(super().call_binop(context, operator, left, right))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Watch().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._turn()
            yield value

    def _turn(self) -> None:
        self._spent.turns += 1
        if self._spent.turns > MOST_TURNS or time.thread_time() - self._spent.began_s > MOST_CPU_S:
            raise SecurityError("its loops take too long")


class _Watch(NodeTransformer):
    """Adds filters to a template's tree: one counts the turns of each loop, one checks the size of each joined text."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # named after the node
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  # named after the node
        self.generic_visit(node)
        return _filtered(node, "sized")


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _asked(name: str, made: Any) -> Any:
    @wraps(made)  # also copies the attributes that mark filters which take Jinja2's context first
    def asked(*args: Any, **kwargs: Any) -> Any:
        args = tuple(list(each) if isinstance(each, Iterator) else each for each in args)
        _ask(name, [each for each in (*args, *kwargs.values()) if not isinstance(each, CONTEXTS)])
        return _sized(made(*args, **kwargs))

    return asked


def _ask(name: str, given: Sequence[Any]) -> None:
    """Refuse a call whose result would be too large.

    Raises:
        SecurityError: the result would have over ``MOST_CHARACTERS`` characters.
    """
    first, *others = (_extent(each) for each in given)
    most = max([1, *others])
    if name in FORMATS and isinstance(given[0], str):
        fields = given[0].count("%") + given[0].count("{")
        widths = sum(int(each[:9]) for each in NUMBER.findall(given[0]))
        size = first + widths + fields * most
    else:
        size = first * most
    if size > MOST_CHARACTERS:
        raise SecurityError(f"'{name}' makes too much")


def _extent(value: Any) -> int:
    """The size of an argument: a text's length, the length of all texts of a list, or a number, which may be a width.

    Other values have size 1.
    """
    if isinstance(value, str):
        return len(value) + 1
    if isinstance(value, list | tuple):
        return (
            sum(len(each) if isinstance(each, str) else 1 for each in value) + 1 + max(map(_number, value), default=0)
        )
    return max(1, _number(value))


def _number(value: Any) -> int:
    return abs(value) if isinstance(value, int) else 0


def _sized(value: Any) -> Any:
    if isinstance(value, str | list | tuple) and len(value) > MOST_CHARACTERS:
        raise SecurityError("a text is too long")
    return value
