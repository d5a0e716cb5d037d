// Prometheus text in the browser: samples, sums, and percentiles of histograms.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const UNESCAPED = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** Samples by name: Map of name to [{labels, value}]. */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\[n"\\]/g, (escaped) => UNESCAPED[escaped]);
    }
    const value = match[3] === "+Inf" ? Infinity : Number(match[3]);
    if (!samples.has(match[1])) samples.set(match[1], []);
    samples.get(match[1]).push({ labels, value });
  }
  return samples;
}

const of = (samples, name, model) => (samples.get(name) ?? []).filter(({ labels }) => !model || labels.model === model);

/** The sum of a metric over all its series, or over those of one model. */
export const sum = (samples, name, model) => of(samples, name, model).reduce((total, { value }) => total + value, 0);

/** A histogram over all its series, or those of one model: Map of upper bound to how many were at most that. */
export function buckets(samples, name, model) {
  const counts = new Map();
  for (const { labels, value } of of(samples, `${name}_bucket`, model)) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return counts;
}

/**
 * The value below which the share `q` lies of what came between two readings of a histogram, as Prometheus estimates
 * it: evenly spread inside a bucket. Null if nothing came.
 */
export function quantile(q, now, before) {
  const counts = [...now].sort(([a], [b]) => a - b).map(([bound, count]) => [bound, count - (before?.get(bound) ?? 0)]);
  const total = counts.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  const rank = q * total;
  let [low, below] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= rank) return bound === Infinity ? low : low + ((bound - low) * (rank - below)) / (count - below);
    [low, below] = [bound, count];
  }
  return low;
}
