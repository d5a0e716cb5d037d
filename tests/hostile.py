"""Texts that a pattern or a loop with a bad worst case takes for ever to read, and how cost grows on them."""

import gc
import hashlib
import time
from collections.abc import Callable

UNITS = (
    "a", "A", "1", " ", "\n", "_", ".", "-", "/", "\\", "'", '"', "`", "<", "{", "(", "[", "&", "%", "$", "@",
    "#", "=", ":", ";", "é", "中", "😀", "\u200d", "a ", "a_", "a.", "a-", "a/", "a@", "a:", "a(", "A.", "a. ",
    "1 ", "1,", "{a", "[A", "<a ", "</a>", "<b>x</b>", "<i>", "<!--", "&a", "&#1", "&amp;", "%(", "--", "://",
    "a://", "www.", "a\n", "a.b()", "x=1;", ".'", "Hello there. ", "- a\n", "```\n", "aA", "a::", "$a",
    "{a,plural,{", "a@b.", "{{", "}", " =", "\t<", "he said: “a” ", '\\"', "/*",
)  # fmt: skip
ENDS = ("", "!")
"""What may stand behind them: an end that does not fit makes a pattern try all it could have read otherwise."""

FLOOR_S = 0.0015
"""A cost below it says nothing."""
TRIES = 12


def shape(unit: str, characters: int, end: str = "") -> str:
    """About so many characters of one unit, always whole, with an end."""
    return unit * (characters // len(unit)) + end


def digits(characters: int) -> str:
    """Hexadecimal digits as they come in hashes: no two stretches alike."""
    blocks = (hashlib.sha256(str(i).encode()).hexdigest() for i in range(characters // 64 + 1))
    return "".join(blocks)[:characters]


def growth(work: Callable[[str], object], make: Callable[[int], str], characters: int) -> float:
    """How many times longer ``work`` takes on a text of twice so many characters; 0 where it is too quick to tell.

    The processor time of this thread counts, the least of several runs: it does not depend on what else the machine
    does. A ratio that looks bad is measured again.
    """
    short, long = make(characters), make(2 * characters)
    least = [_cost_s(work, short), 0.0]
    if least[0] < FLOOR_S:
        return 0.0
    least[1] = _cost_s(work, long)
    for _ in range(TRIES):
        if least[1] < 3 * least[0]:
            break
        least = [min(least[0], _cost_s(work, short)), min(least[1], _cost_s(work, long))]
    return least[1] / least[0]


def _cost_s(work: Callable[[str], object], text: str) -> float:
    gc.disable()  # what others have left is not this work's
    try:
        began_s = time.thread_time()
        work(text)
        return time.thread_time() - began_s
    finally:
        gc.enable()
