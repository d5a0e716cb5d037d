// The turns of a conversation as elements.

import { ApiError } from "../pages/api.js";
import { byId, make } from "../pages/dom.js";
import { showProblem } from "./asking.js";

const log = byId("chat-log");
const NEAR_PX = 80;

/** Adds something to the conversation and keeps its end in sight, unless the reader has scrolled up. */
function keepEnd(change) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  change();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

const NAMES = { you: "You", reply: "Model", tool: "Tool" };
const turn = (who, ...children) => make("article", { class: `turn ${who}`, "aria-label": NAMES[who] }, ...children);

/** What the person wrote; `undo` takes it away again. */
export function addUser(text) {
  const node = turn("you", make("p", { class: "text" }, text));
  log.append(node);
  log.scrollTop = log.scrollHeight;
  return { undo: () => node.remove() };
}

/** What a tool gave back. */
export function addResult(name, text) {
  log.append(turn("tool", make("p", { class: "soft" }, `Result of ${name}`), make("pre", {}, text)));
}

/** An answer that is coming. */
export function addAnswer() {
  const text = document.createTextNode("");
  const facts = make("p", { class: "facts soft" });
  const node = turn("reply", make("p", { class: "text" }, text), facts);
  log.append(node);
  log.setAttribute("aria-busy", "true"); // read out once it is whole
  // Pieces come faster than frames are drawn: what came since the last frame is put in at once.
  let waiting = "";
  let frame = 0;
  const flush = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    keepEnd(() => text.appendData(waiting));
    waiting = "";
  };
  return {
    node,
    write: (piece) => {
      waiting += piece;
      if (waiting) frame ||= requestAnimationFrame(flush);
    },
    /** Shows the calls; `answered` gets {call, text} for each result a person has written. */
    end: (answer, answered) => {
      flush();
      keepEnd(() => {
        if (!answer.text) text.parentNode.remove();
        for (const call of answer.calls) facts.before(callOf(call, answered));
        facts.textContent = answer.facts;
        log.removeAttribute("aria-busy");
      });
    },
    fail: (error) => {
      flush();
      keepEnd(() => {
        const place = make("p", { class: "problem", role: "alert" });
        if (!text.data) text.parentNode.remove();
        facts.replaceWith(place);
        log.removeAttribute("aria-busy");
        showProblem(place, error instanceof ApiError ? error : new ApiError({ message: String(error) }));
      });
    },
  };
}

function callOf(call, answered) {
  const form = make(
    "form",
    { class: "result" },
    make("input", { "aria-label": `Result of ${call.name}`, placeholder: "What does it give back?" }),
    make("button", {}, "Send result"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.remove();
    answered({ call, text: form.elements[0].value });
  });
  return make("div", { class: "call" }, make("p", {}, "Calls ", make("code", {}, call.name)), argumentsOf(call), form);
}

function argumentsOf(call) {
  let given;
  try {
    given = JSON.parse(call.arguments);
  } catch {
    return make("pre", {}, call.arguments); // cut off by the limit of tokens
  }
  const list = make("dl");
  for (const [name, value] of Object.entries(given)) {
    const shown = typeof value === "string" ? value : JSON.stringify(value);
    list.append(make("div", {}, make("dt", {}, name), make("dd", {}, shown)));
  }
  return list;
}
