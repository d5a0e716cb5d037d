"""What one rendering takes is counted apart from the renderings in other threads."""

import threading
from collections.abc import Callable, Iterator

import pytest
from jinja2.exceptions import SecurityError

from server.tasks.generation import template_sandbox
from server.tasks.generation.template_sandbox import Sandbox

LOOP = "{% for value in values %}{{ value }}{% endfor %}"


def turns(count: int, between: Callable[[], None]) -> Iterator[int]:
    """So many values twice, and something in between."""
    yield from range(count)
    between()
    yield from range(count)


def in_another_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_another_thread_neither_adds_turns_nor_takes_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_sandbox, "MOST_TURNS", 10)
    environment = Sandbox()
    template = environment.from_string(LOOP)
    written: list[str] = []

    def other() -> None:
        in_another_thread(lambda: written.append(environment.text(template, {"values": range(8)})))

    assert environment.text(template, {"values": turns(4, other)}) == "01230123"
    with pytest.raises(SecurityError, match="too long"):
        environment.text(template, {"values": turns(8, other)})
    assert written == ["01234567"] * 2


def test_the_clock_of_another_thread_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has computed for long, and one that is new, write at once."""
    main = threading.get_ident()
    monkeypatch.setattr(template_sandbox.time, "thread_time", lambda: 500.0 if threading.get_ident() == main else 0.1)
    environment = Sandbox()
    template = environment.from_string(LOOP)

    def other() -> None:
        in_another_thread(lambda: environment.text(template, {"values": range(3)}))

    assert environment.text(template, {"values": turns(2, other)}) == "0101"
