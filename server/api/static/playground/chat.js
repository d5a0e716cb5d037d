// The chat: one conversation, of which each request brings all that was said.

import { ask, events } from "../pages/api.js";
import { byId, make } from "../pages/dom.js";
import { Answer } from "./answer.js";
import { chatBody, installSettings } from "./settings.js";
import { addAnswer, addResult, addUser } from "./turns.js";

const STARTERS = ["Hello, what can you do?", "I need a dentist in San Jose", "I'd like to book a table for two"];

export function installChat() {
  const [form, input, log] = [byId("chat-form"), byId("chat-input"), byId("chat-log")];
  const [send, stop, start] = [byId("chat-send"), byId("chat-stop"), byId("chat-start")];
  let messages = [];
  let running = null;
  let sent = null;

  const request = (said) => ({ method: "POST", path: "/v1/chat/completions", body: chatBody(said) });

  const showRunning = (controller) => {
    running = controller;
    send.hidden = Boolean(running);
    stop.hidden = !running;
  };

  /** Has the model answer these messages; they become the conversation unless it is refused. */
  const answer = async (said) => {
    const mine = new AbortController();
    showRunning(mine);
    start.hidden = true;
    sent = said;
    const shown = addAnswer();
    const made = new Answer(performance.now());
    let failed = false;
    try {
      for await (const chunk of events(await ask(request(said), mine.signal))) {
        shown.write(made.take(chunk, performance.now()));
      }
    } catch (error) {
      failed = error.name !== "AbortError";
      if (failed) shown.fail(error);
    }
    if (!failed) shown.end(made, giveResult);
    if (running === mine) showRunning(null);
    if (!failed && log.contains(shown.node)) messages = made.pieces ? [...said, made.message] : said;
    return !failed;
  };

  const say = async (text) => {
    if (running || !text.trim()) return;
    const turn = addUser(text);
    input.value = "";
    const taken = await answer([...messages, { role: "user", content: text }]);
    if (taken) return;
    turn.undo(); // what was refused is not part of the conversation; it can be changed and sent again
    input.value ||= text;
  };

  const giveResult = ({ call, text }) => {
    if (running) return;
    addResult(call.name, text);
    messages.push({ role: "tool", tool_call_id: call.id, content: text });
    const open = messages.findLast((one) => one.tool_calls).tool_calls.length;
    const given = messages.length - 1 - messages.findLastIndex((one) => one.tool_calls);
    if (given === open) answer(messages);
  };

  const reset = () => {
    running?.abort();
    messages = [];
    sent = null;
    log.replaceChildren();
    start.hidden = false;
    input.focus();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say(input.value);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });
  stop.addEventListener("click", () => {
    running?.abort();
    input.focus();
  });
  byId("chat-new").addEventListener("click", reset);
  for (const text of STARTERS) {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => say(text));
    byId("chat-starters").append(button);
  }
  installSettings();
  // For curl: what would be sent now; with nothing written, what was sent last.
  const next = () => [...messages, { role: "user", content: input.value.trim() || STARTERS[0] }];
  return { request: () => request(input.value.trim() || !sent ? next() : sent) };
}
