"""The page's reading of Prometheus text, compared with Prometheus's own client and arithmetic."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.playground.conftest import Visit


def test_all_samples_are_read(visit: Visit) -> None:
    page = visit.open("live")
    text = httpx.get(f"{visit.url}/metrics").text
    text += 'made_up{path="a\\\\b\\"c\\nd,e={}"} 1.5e-3\nmade_up{path=""} +Inf\nplain 7 1700000000\n'
    theirs = [
        [sample.name, dict(sample.labels), str(float(sample.value))]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    ours = page.evaluate(
        """async (text) => {
            const {parse} = await import("/static/playground/scrape.js");
            return [...parse(text)].flatMap(([name, all]) => all.map((one) => [name, one.labels, String(one.value)]));
        }""",
        text,
    )
    ours = [[name, labels, str(float(value.replace("Infinity", "inf")))] for name, labels, value in ours]
    assert sorted(map(str, ours)) == sorted(map(str, theirs))


@pytest.mark.parametrize(
    ("q", "now", "before", "expected"),
    [
        (0.5, [(1, 0), (2, 10), ("inf", 10)], [], 1.5),  # in the middle of the bucket they all are in
        (0.95, [(1, 50), (2, 100), ("inf", 100)], [], 1.9),
        (0.5, [(1, 100), (2, 110), ("inf", 110)], [(1, 100), (2, 100), ("inf", 100)], 1.5),  # only what came since
        (0.99, [(1, 5), (2, 5), ("inf", 10)], [], 2),  # above the last bound: the last bound
        (0.5, [(1, 5), ("inf", 5)], [(1, 5), ("inf", 5)], None),
        (0.5, [], [], None),
    ],
)
def test_percentiles_are_those_of_histogram_quantile(
    visit: Visit, q: float, now: object, before: object, expected: float
) -> None:
    page = visit.open("live")
    found = page.evaluate(
        """async ([q, now, before]) => {
            const {quantile} = await import("/static/playground/scrape.js");
            const map = (pairs) => new Map(pairs.map(([bound, n]) => [bound === "inf" ? Infinity : bound, n]));
            return quantile(q, map(now), map(before));
        }""",
        [q, now, before],
    )
    assert found == (None if expected is None else pytest.approx(expected))
