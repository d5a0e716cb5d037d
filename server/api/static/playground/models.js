// The models there are: a list to look at, and the choices of all panels.

import { askJson } from "../pages/api.js";
import { byId, make } from "../pages/dom.js";

const REQUEST = { path: "/v1/models" };
const news = new EventTarget();
let models = [];

/** Calls `listener` with all models, now and whenever the list has been read again. */
export function onModels(listener) {
  news.addEventListener("models", () => listener(models));
  listener(models);
}

/** Reads the list again. */
export async function refreshModels() {
  const problem = byId("models-problem");
  try {
    models = (await askJson(REQUEST)).data;
    problem.textContent = "";
  } catch (error) {
    problem.textContent = error.message;
  }
  news.dispatchEvent(new Event("models"));
}

/** Puts models into a select; what was chosen stays chosen as long as it is there. */
export function fillSelect(select, options) {
  const before = select.value;
  const same = [...select.options].map((option) => option.text).join() === options.map(([, text]) => text).join();
  if (same) return; // an open list would close
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  if (options.some(([value]) => value === before)) select.value = before;
}

/** Choices of models: those that do not answer now say so. */
export const choices = (found) => found.map((m) => [m.id, m.state === "ready" ? m.id : `${m.id} (${m.state})`]);

const grouped = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function factsOf(model) {
  const facts = [
    ["Another name of", model.root !== model.id && model.root],
    ["Task", model.task],
    ["Parameters", compact.format(model.parameters)],
    ["Quantization", model.quantization],
    ["Engine", model.engine],
    ["Memory", model.memory_bytes && `${grouped.format(Math.round(model.memory_bytes / 1e6))} MB`],
    ["Context", `${grouped.format(model.context_length)} tokens`],
    ["Vector", model.dimensions && `${model.dimensions} numbers`],
    ["Languages", model.languages.join(", ")],
    ["Labels", Object.values(model.labels).flat().join(", ")],
    ["Licence", model.license],
  ];
  return facts.filter(([, value]) => value);
}

function cardOf(model) {
  const list = make("dl");
  for (const [name, value] of factsOf(model)) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  const state = make("span", { class: "state", "data-state": model.state }, model.state);
  return make(
    "article",
    { class: "card model", "aria-label": model.id },
    make("header", {}, make("h2", {}, model.id), state),
    make("p", {}, model.summary),
    model.reason ? make("p", { class: "problem" }, model.reason) : "",
    list,
  );
}

export function installModels() {
  onModels((all) => byId("models-list").replaceChildren(...all.map(cardOf)));
  setInterval(() => {
    if (!byId("models").hidden && !document.hidden) refreshModels();
  }, 5000);
  return { request: () => REQUEST, shown: refreshModels };
}
