// Summaries as one types: sentences of the text, or those that a generator writes with what the checks say of them.

import { askJson } from "../pages/api.js";
import { byId, make } from "../pages/dom.js";
import { askWhileTyping } from "./asking.js";
import { fillSelect, onModels } from "./models.js";

const FAULTS = {
  unsupported: "Nothing in the text supports this sentence",
  number: "The text has no such number there",
  name: "The text has no such name",
  negation: "The text says this with another negation",
};

/** A sentence as a button that shows the places in the text on which it rests. */
function sentenceOf({ text, sources, flags }, input) {
  const parts = [];
  let at = 0;
  for (const { flag, start, end } of flags) {
    if (start < at) continue;
    parts.push(text.slice(at, start), make("mark", { title: FAULTS[flag] }, text.slice(start, end)));
    at = end;
  }
  const button = make("button", { type: "button", class: "said" }, ...parts, text.slice(at));
  button.disabled = sources.length === 0;
  button.addEventListener("click", () => {
    input.focus();
    input.setSelectionRange(sources[0].start, sources[0].end);
  });
  return button;
}

/** Places are counted in characters of Unicode; the browser counts most emoji as two. */
function inUnits(text, item) {
  const ends = [0];
  for (const character of text) ends.push(ends.at(-1) + character.length);
  const moved = ({ start, end, ...rest }) => ({ ...rest, start: ends[start], end: ends[end] });
  return item.sentences.map((one) => ({ ...one, sources: one.sources.map(moved) }));
}

export function installSummarize() {
  const [input, select, number, unit] = ["input", "model", "number", "unit"].map((name) => byId(`summarize-${name}`));
  const [output, about, faults] = [byId("summarize-output"), byId("summarize-about"), byId("summarize-flags")];

  const request = () => ({
    method: "POST",
    path: "/v1/summaries",
    body: { model: select.value, input: input.value, [unit.value]: Number(number.value) },
  });

  const draw = (item) => {
    const sentences = inUnits(input.value, item);
    const groups = item.sections.length ? item.sections.map(({ heading }, i) => [heading, i]) : [[null, null]];
    output.replaceChildren(sentences.length ? "" : "No sentence is short enough for this length.");
    for (const [heading, index] of groups) {
      const said = sentences.filter(({ section }) => section === index).map((one) => sentenceOf(one, input));
      if (heading !== null) output.append(make("h3", {}, heading));
      if (said.length) output.append(make("p", {}, ...said));
    }
    const found = new Set(sentences.flatMap(({ flags }) => flags.map(({ flag }) => flag)));
    faults.replaceChildren(...[...found].map((flag) => make("li", {}, make("b", {}, flag), ` ${FAULTS[flag]}.`)));
  };

  const summarize = askWhileTyping([input, number], byId("summarize-problem"), async (signal) => {
    if (!select.value || !input.value.trim()) {
      for (const place of [output, about, faults]) place.replaceChildren();
      return;
    }
    const began = performance.now();
    output.setAttribute("aria-busy", "true");
    try {
      const { data, usage } = await askJson(request(), signal);
      draw(data[0]);
      about.textContent = `${data[0].mode} · ${usage.total_tokens} tokens · ${Math.round(performance.now() - began)} ms`;
    } finally {
      if (!signal.aborted) output.removeAttribute("aria-busy");
    }
  });

  onModels((all) => {
    const named = (task, does) => all.filter((one) => one.task === task).map(({ id }) => [id, `${id}: ${does}`]);
    fillSelect(select, [...named("embedding", "sentences of the text"), ...named("generation", "writes its own")]);
  });
  for (const field of [select, unit]) field.addEventListener("change", summarize);
  return { request };
}
