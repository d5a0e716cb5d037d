// Similarity: which of several texts is closest in meaning to one, by the cosine of their vectors.

import { askJson } from "../pages/api.js";
import { byId } from "../pages/dom.js";
import { askWhileTyping } from "./asking.js";
import { drawBars } from "./bars.js";
import { choices, fillSelect, onModels } from "./models.js";

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

export function installCompare() {
  const [query, others, model] = [byId("compare-query"), byId("compare-others"), byId("compare-model")];
  const [result, about] = [byId("compare-result"), byId("compare-about")];
  const lines = () => others.value.split("\n").filter((line) => line.trim());

  const request = () => ({
    method: "POST",
    path: "/v1/embeddings",
    body: { model: model.value, input: [query.value, ...lines()] },
  });

  const compare = askWhileTyping([query, others], byId("compare-problem"), async (signal) => {
    const texts = lines();
    if (!model.value || !query.value.trim() || texts.length === 0) {
      result.replaceChildren();
      about.textContent = "";
      return;
    }
    const began = performance.now();
    const { data, usage } = await askJson(request(), signal);
    const [first, ...rest] = data.map((item) => item.embedding);
    const bars = texts.map((name, i) => ({ name, share: cosine(first, rest[i]), strong: false }));
    bars.sort((a, b) => b.share - a.share);
    bars[0].strong = true;
    drawBars(result, bars);
    about.textContent = `${usage.total_tokens} tokens · ${Math.round(performance.now() - began)} ms`;
  });

  const begin = () => {
    if (!byId("compare").hidden && !result.childElementCount) compare();
  };
  onModels((all) => {
    fillSelect(model, choices(all.filter((one) => one.task === "embedding")));
    begin();
  });
  model.addEventListener("change", compare);
  return { request, shown: begin };
}
