// A line chart in SVG: up to two lines over time, the present values in figures above, past ones under the pointer.

import { make } from "../pages/dom.js";

const [WIDTH, HEIGHT] = [300, 100]; // of the drawing's own units; it is stretched to the place it has
const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** The next of 1, 2, 5, 10 … that is at least `value`: where the axis ends. */
export function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value * 0.999);
}

export class Chart {
  #spec;
  #points = [];
  #figures;
  #when = make("span", { class: "soft" });
  #top = make("span", { class: "top-of-axis" });
  #svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  #area = shape("path", { class: "area" });
  #lines;

  /** `spec`: {title, lines: [names], format: value → text, spanMs}. */
  constructor(spec) {
    this.#spec = spec;
    this.#figures = spec.lines.map(() => make("b", {}, "–"));
    this.#lines = spec.lines.map((_, i) => shape("path", { class: `line line-${i}` }));
    this.#svg.append(shape("path", { class: "grid", d: `M0 .5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}` }));
    this.#svg.append(this.#area, ...this.#lines.toReversed());
    this.#svg.addEventListener("pointermove", (event) => this.#readAt(event));
    this.#svg.addEventListener("pointerleave", () => this.#read(this.#points.at(-1)));
    const readings = spec.lines.map((name, i) => make("span", { class: `reading reading-${i}` }, this.#figures[i], ` ${name}`));
    this.node = make(
      "figure",
      { class: "card chart" },
      make("figcaption", {}, spec.title, this.#when),
      make("p", { class: "readings" }, ...readings),
      make("div", { class: "plot" }, this.#top, this.#svg),
      make("p", { class: "axis soft" }, make("span", {}, `${Math.round(spec.spanMs / 60000)} min ago`), make("span", {}, "now")),
    );
  }

  /** Draws points: [{time, values}] with a value or null for each line, the newest last. */
  draw(points) {
    this.#points = points;
    const highest = Math.max(0, ...points.flatMap(({ values }) => values.filter((value) => value !== null)));
    const top = roundUp(highest);
    const end = points.at(-1)?.time ?? 0;
    const x = (time) => WIDTH - ((end - time) / this.#spec.spanMs) * WIDTH;
    const y = (value) => HEIGHT - (value / top) * (HEIGHT - 2);
    for (const [i, line] of this.#lines.entries()) line.setAttribute("d", pathOf(points, i, x, y));
    const first = this.#lines[0].getAttribute("d");
    this.#area.setAttribute("d", this.#spec.filled && first ? `${first}V${HEIGHT}H${x(points[0].time).toFixed(1)}Z` : "");
    this.#top.textContent = this.#spec.format(top);
    this.#read(points.at(-1));
    const said = this.#spec.lines.map((name, i) => `${name} ${this.#figures[i].textContent}`).join(", ");
    this.#svg.setAttribute("aria-label", `${this.#spec.title}: ${said}`);
  }

  #read(point) {
    if (!point) return;
    for (const [i, figure] of this.#figures.entries()) {
      const value = point.values[i];
      figure.textContent = value === null ? "–" : this.#spec.format(value);
    }
    const ageS = Math.round((this.#points.at(-1).time - point.time) / 1000);
    this.#when.textContent = ageS ? `${ageS} s ago` : "";
  }

  #readAt(event) {
    const box = this.#svg.getBoundingClientRect();
    const share = 1 - (event.clientX - box.left) / box.width;
    const time = (this.#points.at(-1)?.time ?? 0) - share * this.#spec.spanMs;
    const distance = (point) => Math.abs(point.time - time);
    this.#read(this.#points.reduce((best, point) => (distance(point) < distance(best) ? point : best), this.#points[0]));
  }
}

/** A line with a gap where there is no value. */
function pathOf(points, i, x, y) {
  let path = "";
  let pen = "M";
  for (const { time, values } of points) {
    if (values[i] === null) {
      pen = "M";
      continue;
    }
    path += `${pen}${x(time).toFixed(1)} ${y(values[i]).toFixed(1)}`;
    // A dot where a value stands alone: a line of no length has round ends.
    if (pen === "M") path += "h0";
    pen = "L";
  }
  return path;
}
