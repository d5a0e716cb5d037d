// Classification as one types: a classifier's own labels, or any labels by an embedding model.

import { askJson } from "../pages/api.js";
import { byId } from "../pages/dom.js";
import { askWhileTyping } from "./asking.js";
import { drawBars } from "./bars.js";
import { choices, fillSelect, onModels } from "./models.js";

// How each kind of model is asked, and what its answer says: [{name, share, strong}].
const KINDS = {
  sentiment: {
    path: "/v1/sentiment",
    read: (answer) => {
      const [{ label, scores }] = answer.data;
      return Object.entries(scores).map(([name, share]) => ({ name, share, strong: name === label }));
    },
  },
  moderation: {
    path: "/v1/moderations",
    read: (answer, model) => {
      const [{ categories, category_scores }] = answer.results;
      return model.labels.moderation.map((name) => ({ name, share: category_scores[name], strong: categories[name] }));
    },
  },
  other: {
    path: "/classify",
    read: (answer, model) => {
      const [{ label, probs }] = answer.data;
      const [names] = Object.values(model.labels);
      return names.map((name, i) => ({ name, share: probs[i], strong: name === label }));
    },
  },
  own: {
    path: "/v1/decisions",
    read: (answer) => {
      const [{ choice, probabilities }] = answer.answers;
      return probabilities.map((one) => ({ name: one.value, share: one.probability, strong: one.value === choice }));
    },
  },
};

function kindOf(model) {
  if (model.task === "embedding") return KINDS.own;
  const [head] = Object.keys(model.labels);
  return (head !== "own" && KINDS[head]) || KINDS.other;
}

export function installClassify() {
  const [input, select, labels] = [byId("classify-input"), byId("classify-model"), byId("classify-labels")];
  const [result, about] = [byId("classify-result"), byId("classify-about")];
  let models = [];
  const chosen = () => models.find((one) => one.id === select.value);

  const request = () => {
    const model = chosen();
    if (!model) throw new Error("There is no classifier.");
    const kind = kindOf(model);
    const body = { model: model.id, input: input.value };
    if (kind === KINDS.own) {
      const named = labels.value.split(",").map((label) => label.trim()).filter(Boolean);
      const options = named.map((value) => ({ value }));
      body.questions = [{ type: "choice", instructions: "What is it?", choices: options }];
    }
    return { method: "POST", path: kind.path, body };
  };

  const classify = askWhileTyping([input, labels], byId("classify-problem"), async (signal) => {
    const model = chosen();
    if (!model || !input.value.trim()) {
      result.replaceChildren();
      about.textContent = "";
      return;
    }
    const began = performance.now();
    try {
      const answer = await askJson(request(), signal);
      drawBars(result, kindOf(model).read(answer, model));
      const isUnread = answer.data?.[0]?.flags?.includes("unsupported_language");
      const what = isUnread ? "No model reads this language: the label means nothing" : model.summary;
      about.textContent = `${what} · ${Math.round(performance.now() - began)} ms`;
    } catch (error) {
      if (!signal.aborted) result.replaceChildren();
      throw error;
    }
  });

  const choose = () => {
    byId("classify-labels-label").hidden = chosen()?.task !== "embedding";
    classify();
  };

  onModels((all) => {
    const classifiers = all.filter((one) => one.task === "classification");
    classifiers.sort((a, b) => Number("sentiment" in b.labels) - Number("sentiment" in a.labels));
    const embedders = all.filter((one) => one.task === "embedding");
    const before = select.value;
    models = [...classifiers, ...embedders];
    fillSelect(select, [...choices(classifiers), ...choices(embedders).map(([id, name]) => [id, `${name}: your own labels`])]);
    if (select.value !== before) choose();
  });
  select.addEventListener("change", choose);
  return { request };
}
