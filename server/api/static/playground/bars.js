// Bars: a name, a share between 0 and 1, and its figure.

import { make } from "../pages/dom.js";

/** Draws one bar for each {name, share, strong}; `strong` ones have the accent. */
export function drawBars(place, items) {
  place.replaceChildren(
    ...items.map(({ name, share, strong }) => {
      const fill = make("span", { class: "fill" });
      fill.style.inlineSize = `${Math.max(0, Math.min(1, share)) * 100}%`;
      const figure = make("span", { class: "figure" }, share.toFixed(2));
      const track = make("span", { class: "track", "aria-hidden": "true" }, fill);
      return make("p", { class: strong ? "bar strong" : "bar" }, make("span", { class: "name" }, name), track, figure);
    }),
  );
}
