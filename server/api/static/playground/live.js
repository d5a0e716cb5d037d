// How the server does now: /metrics, read again and again while somebody looks, as rates and percentiles.

import { ask } from "../pages/api.js";
import { byId } from "../pages/dom.js";
import { showProblem } from "./asking.js";
import { Chart } from "./chart.js";
import { choices, fillSelect, onModels } from "./models.js";
import { buckets, parse, quantile, sum } from "./scrape.js";

const REQUEST = { path: "/metrics" };
const [EVERY_MS, SPAN_MS, RATE_MS, PERCENTILE_MS] = [2000, 300_000, 10_000, 60_000];
const COUNTED = "hearth_e2e_request_latency_seconds_count";

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const plain = (value) => number.format(value);
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const seconds = (value) => (value < 1 ? `${short.format(value * 1000)} ms` : `${short.format(value)} s`);

/** How much a counter grew a second between two readings. */
const rate = (name) => (now, before, model) =>
  before ? (sum(now.samples, name, model) - sum(before.samples, name, model)) / ((now.time - before.time) / 1000) : null;
const gauge = (name) => (now, before, model) => sum(now.samples, name, model);
const percentile = (name, q) => (now, before, model) =>
  before ? quantile(q, buckets(now.samples, name, model), buckets(before.samples, name, model)) : null;

const percentiles = (title, name) => ({
  title,
  format: seconds,
  windowMs: PERCENTILE_MS,
  series: { median: percentile(name, 0.5), p95: percentile(name, 0.95) },
});
const CHARTS = [
  { title: "Requests a second", format: plain, windowMs: RATE_MS, filled: true, series: { requests: rate(COUNTED) } },
  {
    title: "Tokens a second",
    format: plain,
    windowMs: RATE_MS,
    filled: true,
    series: { made: rate("hearth_generation_tokens_total"), read: rate("hearth_prompt_tokens_total") },
  },
  {
    title: "Requests now",
    format: plain,
    windowMs: 0,
    filled: true,
    series: { running: gauge("hearth_num_requests_running"), waiting: gauge("hearth_num_requests_waiting") },
  },
  percentiles("Time to first token", "hearth_time_to_first_token_seconds"),
  percentiles("Inter-token latency", "hearth_inter_token_latency_seconds"),
  percentiles("Whole request", "hearth_e2e_request_latency_seconds"),
];

export function installLive() {
  const [problem, select] = [byId("live-problem"), byId("live-model")];
  const charts = CHARTS.map((spec) => ({
    ...spec,
    chart: new Chart({ ...spec, lines: Object.keys(spec.series), spanMs: SPAN_MS }),
  }));
  byId("live-charts").append(...charts.map(({ chart }) => chart.node));
  let readings = [];

  /** The reading to compare with: the newest that is older than the window, else the oldest there is. */
  const before = (place, windowMs) => {
    const limit = readings[place].time - windowMs;
    const older = readings.slice(0, place);
    return older.findLast(({ time }) => time <= limit) ?? older[0] ?? null;
  };

  const draw = () => {
    if (byId("live").hidden) return;
    for (const { chart, series, windowMs } of charts) {
      const point = (reading, place) => ({
        time: reading.time,
        values: Object.values(series).map((value) => value(reading, before(place, windowMs), select.value)),
      });
      chart.draw(readings.map(point));
    }
  };

  const read = async () => {
    try {
      const samples = parse(await (await ask(REQUEST)).text());
      const last = readings.at(-1);
      // A counter that went back: the server has been started anew.
      if (last && sum(samples, COUNTED) < sum(last.samples, COUNTED)) readings = [];
      const time = performance.now();
      readings = [...readings.filter((one) => time - one.time < SPAN_MS), { time, samples }];
      problem.replaceChildren();
      draw();
    } catch (error) {
      showProblem(problem, error);
    }
  };

  const loop = async () => {
    if (!document.hidden) await read();
    setTimeout(loop, EVERY_MS);
  };
  loop();
  select.addEventListener("change", draw);
  onModels((all) => fillSelect(select, [["", "All models"], ...choices(all)]));
  return { request: () => REQUEST, shown: draw };
}
