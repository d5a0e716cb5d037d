"""Stop strings never leak, and where a text is cut into parts changes nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tasks.generation.stop_strings import StopStrings, ThoughtMarks, first_stop

LETTERS = st.text("ab", max_size=12)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=4)


def whole(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The definition, letter by letter: the text ends where a stop is first complete, before the longest."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            longest = max(complete, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(parts=st.lists(LETTERS), stops=STOPS)
def test_the_streamed_text_is_that_of_the_definition(parts: list[str], stops: list[str]) -> None:
    watch = StopStrings(stops)
    out = "".join(watch.push(part) for part in parts) + watch.finish()
    assert (out, watch.matched) == whole("".join(parts), stops)


@given(parts=st.lists(LETTERS), stops=STOPS)
def test_nothing_is_held_back_that_cannot_become_a_stop(parts: list[str], stops: list[str]) -> None:
    watch, sent, came = StopStrings(stops), "", ""
    for part in parts:
        sent, came = sent + watch.push(part), came + part
        if watch.matched is not None:
            break
        held = came[len(sent) :]
        assert came.startswith(sent)
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


@pytest.mark.parametrize(
    ("stops", "parts", "sent"),
    [
        (["END"], ["one E", "N", "D two"], ["one ", "", ""]),
        (["END"], ["one E", "N", "E"], ["one ", "", "EN"]),
        (["\n\n"], ["a\n", "b\n", "\nc"], ["a", "\nb", ""]),
        ([], ["a", "b"], ["a", "b"]),
        (["abcd", "bc"], ["abcd"], ["a"]),
        (["bc", "abc"], ["xabc"], ["x"]),
    ],
)
def test_parts_as_they_go_out(stops: list[str], parts: list[str], sent: list[str]) -> None:
    watch = StopStrings(stops)
    assert [watch.push(part) for part in parts] == sent


def test_after_a_stop_nothing_more_goes_out() -> None:
    watch = StopStrings(["x"])
    assert [watch.push("ax"), watch.push("b"), watch.finish()] == ["a", "", ""]
    assert watch.matched == "x"


def test_the_earliest_complete_stop_counts() -> None:
    assert first_stop("one two", ["two", "one"]) == (0, "one")
    assert first_stop("one two", ["three"]) is None


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        StopStrings(["a", ""])


THOUGHTS = st.lists(st.sampled_from([*"<b>/ \n", "<b>", "</b>", "a"]), max_size=12).map("".join)


def cut(text: str, *, inside: bool) -> tuple[str, str]:
    """The definition, on the whole text."""
    said = text.lstrip()
    if inside:
        said = f"<b>{said}"
    if not said.startswith("<b>"):
        return "", text
    thought, found, answer = said[3:].partition("</b>")
    return thought.strip(), answer.lstrip() if found else ""


@given(text=THOUGHTS, data=st.data(), inside=st.booleans())
def test_parts_of_a_text_tell_thought_and_answer_as_the_whole_does(text: str, data: Any, inside: bool) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    marks = ThoughtMarks("<b>", "</b>", inside=inside)
    parts = [marks.push(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    parts.append(marks.finish())
    assert ("".join(part[0] for part in parts), "".join(part[1] for part in parts)) == cut(text, inside=inside)


def test_only_what_may_end_a_thought_is_held_back() -> None:
    marks = ThoughtMarks("<b>", "</b>", inside=False)
    sent = [marks.push(part) for part in (" <", "b>\nHm", " ", "<i> </", "b>\n", "\nYes", " <b>")]
    assert sent == [("", ""), ("Hm", ""), ("", ""), (" <i>", ""), ("", ""), ("", "Yes"), ("", " <b>")]
