// Translation as one types. It comes a sentence at a time; the last event has what only the whole can tell.

import { ask, events } from "../pages/api.js";
import { byId, copy, make } from "../pages/dom.js";
import { askWhileTyping } from "./asking.js";
import { choices, fillSelect, onModels } from "./models.js";

const NAMES = new Intl.DisplayNames(["en"], { type: "language" });
const MEANINGS = {
  repetition: "It said the same again and again, which was cut.",
  length: "It is far too long or too short for the text.",
  untranslated: "It is a copy of the text.",
  wrong_language: "It is not in the language asked for.",
  altered: "A number, a sign or a name of the text is not in it exactly once.",
  low_confidence: "It is doubtful: the model does not trust its own words.",
  unsupported_language: "The model does not read this language: the text is left as it was.",
};

const meaning = (flags) => flags.map((flag) => MEANINGS[flag] ?? flag).join(" ");
const nameOf = (code) => (code === "und" ? "unknown" : (NAMES.of(code) ?? code));
const percent = (share) => `${Math.floor(share * 100)}%`;

export function installTranslate() {
  const [input, output] = [byId("translate-input"), byId("translate-output")];
  const [source, target, model] = [byId("translate-source"), byId("translate-target"), byId("translate-model")];
  const [detected, about, flags] = [byId("translate-detected"), byId("translate-about"), byId("translate-flags")];
  const copyButton = byId("translate-copy");
  let models = [];

  const request = () => ({
    method: "POST",
    path: "/v1/translations",
    body: { model: model.value, input: input.value, source: source.value, target: target.value, stream: true },
  });

  const clear = () => {
    for (const place of [output, detected, about, flags]) place.replaceChildren();
    copyButton.hidden = true;
  };

  const finish = (item, spentMs) => {
    if (output.textContent !== item.text) output.textContent = item.text;
    output.lang = item.target;
    output.dataset.source = item.source;
    const found = item.detected;
    detected.textContent = found ? `Detected: ${nameOf(found.language)}, ${percent(found.confidence)} sure` : "";
    const facts = [`Confidence ${percent(item.confidence)}`, item.pivot && `through ${nameOf(item.pivot)} (${item.via.join(", ")})`];
    about.textContent = [...facts, `${Math.round(spentMs)} ms`].filter(Boolean).join(" · ");
    flags.replaceChildren(...item.flags.map((flag) => make("li", {}, make("b", {}, flag.replace("_", " ")), ` ${MEANINGS[flag] ?? ""}`)));
    copyButton.hidden = false;
  };

  const translate = askWhileTyping([input], byId("translate-problem"), async (signal) => {
    if (!input.value.trim() || !model.value) return clear();
    output.setAttribute("aria-busy", "true");
    const began = performance.now();
    try {
      let isFirst = true;
      for await (const event of events(await ask(request(), signal))) {
        if (isFirst) output.replaceChildren();
        isFirst = false;
        for (const item of event.data) {
          if (item.object === "translation") finish(item, performance.now() - began);
          else output.append(item.flags.length ? make("mark", { title: meaning(item.flags) }, item.text) : item.text);
        }
      }
    } catch (error) {
      if (!signal.aborted) clear();
      throw error;
    } finally {
      if (!signal.aborted) output.removeAttribute("aria-busy");
    }
  });

  const offerLanguages = () => {
    const languages = models.find((one) => one.id === model.value)?.languages ?? [];
    const named = languages.map((code) => [code, nameOf(code)]);
    const first = target.options.length === 0;
    fillSelect(source, [["auto", "Detect language"], ...named]);
    fillSelect(target, named);
    if (first && languages.length > 1) target.value = languages.find((code) => code !== "en");
  };

  onModels((all) => {
    models = all.filter((one) => one.task === "translation");
    fillSelect(model, choices(models));
    byId("translate-model-label").hidden = models.length < 2;
    offerLanguages();
  });
  model.addEventListener("change", () => {
    offerLanguages();
    translate();
  });
  for (const select of [source, target]) select.addEventListener("change", translate);

  byId("translate-swap").addEventListener("click", () => {
    const from = source.value === "auto" ? output.dataset.source : source.value;
    [source.value, target.value] = [target.value, from || target.value];
    if (output.textContent) input.value = output.textContent;
    translate();
  });
  copyButton.addEventListener("click", async () => {
    copyButton.textContent = (await copy(output.textContent)) ? "Copied" : "Not allowed here";
  });
  return { request };
}
