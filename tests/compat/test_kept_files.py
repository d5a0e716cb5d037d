"""Translated files in memory: for their key, for a while, and no more than there is room for."""

import contextlib

import pytest

from server.api.compat.peer import KEPT_BYTES, KEPT_S, KeptFiles
from server.errors import InvalidValue, Overloaded, RouteNotFound


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_file_is_its_keys_until_its_time_is_over() -> None:
    clock = Clock()
    files = KeptFiles(clock)
    id = files.add("a.txt", "anna", 10)
    assert len(id) >= 32
    assert files.find(id, "anna", "/").name == "a.txt"
    for owner, name in (("ben", id), ("", id), ("anna", "another")):
        with pytest.raises(RouteNotFound):
            files.find(name, owner, "/")
    clock.now_s = KEPT_S
    with pytest.raises(RouteNotFound):
        files.find(id, "anna", "/")


def test_where_there_is_no_room_the_answer_says_when() -> None:
    clock = Clock()
    files = KeptFiles(clock)
    first = files.add("a.txt", "", KEPT_BYTES)
    clock.now_s = 100.0
    with pytest.raises(Overloaded) as caught:
        files.add("b.txt", "", 1)
    assert caught.value.wait_s == KEPT_S - 100
    files.drop(first)
    assert files.add("b.txt", "", 1)


@pytest.mark.anyio
async def test_room_is_kept_while_a_file_is_translated_and_given_back_if_that_fails() -> None:
    clock = Clock()
    files = KeptFiles(clock)
    with contextlib.suppress(InvalidValue), files.room("a.txt", "", KEPT_BYTES):
        clock.now_s = 10 * KEPT_S  # a translation may take long
        with pytest.raises(Overloaded) as caught:
            files.add("b.txt", "", 1)
        assert caught.value.wait_s == KEPT_S
        raise InvalidValue("no translation", "file")
    with files.room("a.txt", "", KEPT_BYTES) as id:
        files.fill(id, b"Hallo")
    assert files.find(id, "", "/").content == b"Hallo"
    files.add("b.txt", "", 1)
