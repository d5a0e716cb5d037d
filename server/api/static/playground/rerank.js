// Reranking: which of several texts answers one best, by a reranker or by an embedding model.

import { askJson } from "../pages/api.js";
import { byId } from "../pages/dom.js";
import { askWhileTyping } from "./asking.js";
import { drawBars } from "./bars.js";
import { choices, fillSelect, onModels } from "./models.js";

export function installRerank() {
  const [query, documents, model] = ["query", "documents", "model"].map((name) => byId(`rerank-${name}`));
  const [result, about] = [byId("rerank-result"), byId("rerank-about")];
  const lines = () => documents.value.split("\n").filter((line) => line.trim());

  const request = () => ({
    method: "POST",
    path: "/v1/rerank",
    body: { model: model.value, query: query.value, documents: lines() },
  });

  const rerank = askWhileTyping([query, documents], byId("rerank-problem"), async (signal) => {
    const texts = lines();
    if (!model.value || !query.value.trim() || texts.length === 0) {
      result.replaceChildren();
      about.textContent = "";
      return;
    }
    const began = performance.now();
    const { results, method, usage } = await askJson(request(), signal);
    const bars = results.map((one, i) => ({ name: texts[one.index], share: one.relevance_score, strong: i === 0 }));
    drawBars(result, bars);
    about.textContent = `${method} · ${usage.total_tokens} tokens · ${Math.round(performance.now() - began)} ms`;
  });

  const begin = () => {
    if (!byId("rerank").hidden && !result.childElementCount) rerank();
  };
  onModels((all) => {
    fillSelect(model, choices(all.filter(({ task }) => task === "rerank" || task === "embedding")));
    begin();
  });
  model.addEventListener("change", rerank);
  return { request, shown: begin };
}
