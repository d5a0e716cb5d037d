"""Sampling against plain definitions in numpy; draws against the distribution they should have."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from load_tests.step import shapes
from server.engines.rows import read_top
from server.engines.step.support import config
from tests.engines.step import tiny
from tests.engines.step.conftest import logits, prompt

PROMPT = prompt(8, seed=4)
Doubles = npt.NDArray[np.float64]


@pytest.fixture
def raw(decoder: Callable[..., Any]) -> tuple[Any, Doubles]:
    """A decoder, and the logits of PROMPT's next token."""
    one = decoder()
    return one, logits(one, PROMPT)[-1].astype(np.float64)


def choose(one: Any, ids: list[int] = PROMPT, masks: Any = None, **options: Any) -> tuple[int, Any]:
    row = one.open(ids, **options)
    assert one.reserve(row, len(ids))
    (token,), reports = one.step([row], [one.pending(row)], *(() if masks is None else ({0: masks.tobytes()},)))
    one.close(row)
    return token, (reports[0][0], list(zip(*read_top(reports[0][1]), strict=True))) if reports else None


def generate(one: Any, steps: int, **options: Any) -> list[int]:
    row = one.open(PROMPT, **options)
    made = []
    for _ in range(steps):
        assert one.reserve(row, one.pending(row))
        made += one.step([row], [one.pending(row)])[0]
    one.close(row)
    return made


def softmax(x: Doubles) -> Doubles:
    e: Doubles = np.exp(x - x.max())
    return e / e.sum()


def kept(x: Doubles, temperature: float, top_k: int, top_p: float, min_p: float) -> Doubles:
    """The probabilities after each truncation, by the book."""
    order = np.lexsort((np.arange(len(x)), -x))
    p = softmax(x / temperature)
    allowed = np.zeros(len(x), bool)
    allowed[order[: top_k or len(x)]] = True
    p = np.where(allowed, p, 0) / p[allowed].sum()
    if top_p < 1:
        before = np.cumsum(p[order]) - p[order]
        allowed[order[before >= top_p]] = False
    allowed &= p >= min_p * p.max()
    p = np.where(allowed, p, 0)
    return p / p.sum()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "min_p"),
    [
        (1.0, 0, 1.0, 0.0),
        (3.0, 0, 1.0, 0.0),
        (2.0, 7, 1.0, 0.0),
        (2.0, 0, 0.8, 0.0),
        (2.0, 0, 1e-300, 0.0),  # nothing to single precision: the likeliest is left
        (2.0, 0, 1.0, 0.1),
        (3.0, 40, 0.7, 0.05),
        (30.0, 0, 0.97, 0.0),
        (0.4, 150, 0.9999999, 0.0),
        (50.0, 190, 1.0, 0.0),
    ],
)
def test_draws_have_the_distribution_asked_for(
    raw: tuple[Any, Doubles], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    one, x = raw
    expected = kept(x, temperature, top_k, top_p, min_p)
    count = 2000
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    drawn = Counter(choose(one, seed=seed, **options)[0] for seed in range(count))
    assert set(drawn) <= set(np.flatnonzero(expected > 1e-12).tolist())
    often = np.flatnonzero(expected * count >= 5)
    rest = count - sum(drawn[int(i)] for i in often)
    rest_expected = count * (1 - expected[often].sum())
    chi2 = sum((drawn[int(i)] - count * expected[i]) ** 2 / (count * expected[i]) for i in often)
    freedom = len(often) - 1
    if rest_expected >= 5:
        chi2 += (rest - rest_expected) ** 2 / rest_expected
        freedom += 1
    assert chi2 < freedom + 4.5 * np.sqrt(2 * max(freedom, 1)) + 6


@pytest.fixture(scope="module")
def wide(compiled: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A decoder of so many tokens that a nucleus of most of them is searched for and not weighed one by one."""
    shape = shapes.Shape(layers=1, width=64, heads=2, kv_heads=1, head_dim=32, inner=64, vocabulary=6000)
    folder = shapes.write(tmp_path_factory.mktemp("wide") / "model", shape)
    return compiled.Decoder(str(folder / "model.bin"), config(folder), 1, "", 128, 1 << 22)


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999, 0.9999999])
@pytest.mark.parametrize("temperature", [0.5, 2.0, 1000.0])
@pytest.mark.parametrize("peak", [0.0, 9.0])
def test_a_nucleus_of_thousands_is_drawn_from_by_the_book(
    wide: Any, peak: float, temperature: float, top_p: float
) -> None:
    bias = [(17, peak * temperature)]
    x = logits(wide, PROMPT)[-1].astype(np.float64)
    x[17] += bias[0][1]
    expected = kept(x, temperature, 0, top_p, 0.0)
    count = 600
    options = {"temperature": temperature, "top_p": top_p, "bias": bias}
    drawn = [choose(wide, seed=seed, **options)[0] for seed in range(count)]
    assert all(expected[id] > 0 for id in drawn)
    # By size of logit, in ten groups that are drawn from as often: their edges show a nucleus that is too small.
    order = np.argsort(-x, kind="stable")
    group = np.minimum(9, (10 * (np.cumsum(expected[order]) - expected[order] / 2)).astype(int))
    groups = dict(zip(order.tolist(), group.tolist(), strict=True))
    found = np.bincount([groups[id] for id in drawn], minlength=10)
    wanted = count * np.bincount(group, weights=expected[order], minlength=10)
    chi2 = sum((found - wanted)[wanted > 5] ** 2 / wanted[wanted > 5])
    assert chi2 < 9 + 4.5 * np.sqrt(18) + 6


def test_bias_and_penalties_act_on_the_logits_in_order(raw: tuple[Any, Doubles]) -> None:
    one, x = raw
    bias = [(5, 2.5), (PROMPT[0], 8.0), (int(x.argmax()), -100.0)]
    options = {"repetition_penalty": 1.7, "presence_penalty": 0.6, "frequency_penalty": 0.4}
    expected = x.copy()
    for i, value in bias:
        expected[i] = -np.inf if value <= -100 else expected[i] + value
    for i in set(PROMPT):
        expected[i] = expected[i] / 1.7 if expected[i] > 0 else expected[i] * 1.7
    token, (logprob, top) = choose(one, bias=bias, logprobs=20, **options)
    with np.errstate(divide="ignore"):
        probabilities = np.log(softmax(expected))
    assert token == int(expected.argmax())
    assert logprob == pytest.approx(probabilities.max(), abs=1e-4)
    order = np.argsort(-expected, kind="stable")[:20]
    assert [i for i, _ in top] == order.tolist()
    assert [value for _, value in top] == pytest.approx(probabilities[order].tolist(), abs=1e-4)


def test_penalties_count_the_completion(decoder: Callable[..., Any]) -> None:
    one = decoder()
    options = {"presence_penalty": 0.7, "frequency_penalty": 1.3}
    made = generate(one, 30, **options)
    for n in range(len(made)):
        x = logits(one, PROMPT + made[:n])[-1].astype(np.float64)
        for i, times in Counter(made[:n]).items():
            x[i] -= 0.7 + 1.3 * times
        assert made[n] == int(x.argmax()) or np.sort(x)[-1] - np.sort(x)[-2] < 1e-3
    assert len(set(made)) > len(set(generate(one, 30)))


def test_logprobs_are_those_of_temperature_one(raw: tuple[Any, Doubles]) -> None:
    one, x = raw
    token, (logprob, top) = choose(one, temperature=2.5, top_k=3, seed=3, logprobs=0)
    assert logprob == pytest.approx(np.log(softmax(x))[token], abs=1e-4)
    assert top == []
    assert choose(one, temperature=2.5, top_k=3, seed=3) == (token, None)
    _, (_, everything) = choose(one, logprobs=tiny.VOCABULARY)
    assert len(everything) == tiny.VOCABULARY


def test_a_seed_gives_the_same_text_in_any_company(decoder: Callable[..., Any]) -> None:
    one = decoder(threads=2)
    alone = generate(one, 25, temperature=1.5, seed=11)
    assert generate(one, 25, temperature=1.5, seed=12) != alone
    row = one.open(PROMPT, temperature=1.5, seed=11)
    others = [one.open(prompt(5 + i, seed=i), temperature=1.0, seed=i) for i in range(7)]
    made = []
    for _ in range(25):
        rows = [*others[:3], row, *others[3:]]
        assert all(one.reserve(r, one.pending(r)) for r in rows)
        ids, _ = one.step(rows, [one.pending(r) for r in rows])
        made.append(ids[3])
    assert made == alone


def test_stop_ids_are_banned_until_min_tokens(decoder: Callable[..., Any]) -> None:
    one = decoder()
    free = generate(one, 6)
    held = generate(one, 6, stop_ids=sorted(set(free)), min_tokens=3)
    assert not set(held[:3]) & set(free)


def test_a_mask_allows_only_its_tokens(compiled: Any, raw: tuple[Any, Doubles]) -> None:
    one, x = raw
    allowed = [3, 64, 198]
    mask = np.zeros((tiny.VOCABULARY + 31) // 32, np.uint32)
    for i in allowed:
        mask[i // 32] |= np.uint32(1 << (i % 32))
    assert choose(one, masks=mask)[0] == max(allowed, key=lambda i: x[i])
    assert {choose(one, masks=mask, temperature=100.0, seed=s)[0] for s in range(40)} == set(allowed)
    assert choose(one, masks=np.zeros_like(mask))[0] == compiled.NoToken.NONE_ALLOWED


def test_any_mask_allows_what_its_bits_say(raw: tuple[Any, Doubles]) -> None:
    """Words that allow much and words that allow little are gone through in different ways."""
    one, x = raw
    bits = np.random.default_rng(5)
    for share in (0.02, 0.3, 0.5, 0.7, 0.98, 1.0):
        allowed = bits.random(tiny.VOCABULARY) < share
        mask = np.packbits(np.pad(allowed, (0, -len(allowed) % 32)), bitorder="little")
        _, (_, top) = choose(one, masks=mask, logprobs=tiny.VOCABULARY)
        order = np.lexsort((np.arange(len(x)), -x))
        assert [i for i, _ in top] == [i for i in order.tolist() if allowed[i]]


@pytest.mark.parametrize("wanted", [1, 2, 15, 16, 17, 90, tiny.VOCABULARY - 1, tiny.VOCABULARY])
def test_the_likeliest_are_all_found_in_order(raw: tuple[Any, Doubles], wanted: int) -> None:
    """Also where many tokens are as likely as another."""
    one, x = raw
    for ties in ((), range(40, 90)):
        bias = [(i, float(np.float32(x.max() + 9)) - float(x[i])) for i in ties]
        _, (_, every) = choose(one, bias=bias, logprobs=tiny.VOCABULARY)
        _, (_, top) = choose(one, bias=bias, logprobs=wanted)
        assert top == every[:wanted]
        assert every == sorted(every, key=lambda pair: (-pair[1], pair[0]))


def test_banning_everything_is_told_and_not_drawn(compiled: Any, raw: tuple[Any, Doubles]) -> None:
    one, _ = raw
    bias = [(i, -100.0) for i in range(tiny.VOCABULARY)]
    assert choose(one, bias=bias)[0] == compiled.NoToken.NONE_ALLOWED
    assert choose(one, bias=bias[1:])[0] == 0
    assert choose(one, bias=bias[1:], temperature=1.0, top_p=0.5)[0] == 0
