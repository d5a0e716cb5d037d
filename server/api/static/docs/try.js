// A form that sends one request and shows the answer as it comes.

import { key } from "../pages/api.js";
import { make } from "../pages/dom.js";
import { exampleOf } from "./schema.js";

const indented = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // a stream of events, or metrics
  }
};

/** `schema` is that of the body, or null. */
export function tryIt(method, path, schema) {
  const body = schema && make("textarea", { class: "mono", rows: "7", spellcheck: "false", "aria-label": "Body" });
  if (body) body.value = exampleOf(schema);
  const [, name] = /{(.*?)}/.exec(path) ?? [];
  const place = name && make("input", { placeholder: name, "aria-label": name });
  const status = make("p", { class: "soft", role: "status" });
  const answer = make("pre", { hidden: true, tabindex: "0", "aria-label": "Answer" });
  const form = make("form", { class: "try" }, body || "", place || "", make("button", {}, "Send"), status, answer);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    status.textContent = "…";
    const headers = key.get() ? { authorization: `Bearer ${key.get()}` } : {};
    if (body) headers["content-type"] = "application/json";
    const url = place ? path.replace(`{${name}}`, encodeURIComponent(place.value)) : path;
    try {
      const response = await fetch(url, { method, headers, body: body?.value });
      status.textContent = `${response.status} · ${response.headers.get("openai-processing-ms") ?? "?"} ms`;
      answer.hidden = false;
      let text = "";
      for await (const piece of response.body.pipeThrough(new TextDecoderStream())) answer.textContent = text += piece;
      answer.textContent = indented(text);
    } catch (error) {
      status.textContent = `The server cannot be reached: ${error.message}`;
    }
  });
  return form;
}
