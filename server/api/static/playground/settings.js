// How the chat is to be answered: what the fields beside it say, as fields of the API.

import { ApiError } from "../pages/api.js";
import { byId } from "../pages/dom.js";
import { choices, fillSelect, onModels } from "./models.js";

const EXAMPLE = [
  {
    type: "function",
    function: {
      name: "FindProvider",
      description: "Find a doctor, dentist or hairdresser.",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, type: { type: "string" } },
        required: ["city"],
      },
    },
  },
];

function parsed(id, what) {
  const text = byId(id).value.trim();
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError({ message: `${what} is not valid JSON: ${error.message}` });
  }
}

/**
 * The body of a request that goes on from these messages.
 * @throws {ApiError} tools or more fields are no JSON. All else is for the server to judge.
 */
export function chatBody(messages) {
  const system = byId("chat-system").value.trim();
  const body = {
    model: byId("chat-model").value,
    messages: system ? [{ role: "system", content: system }, ...messages] : messages,
    temperature: Number(byId("chat-temperature").value),
    max_tokens: byId("chat-tokens").value === "" ? undefined : Number(byId("chat-tokens").value),
    tools: parsed("chat-tools", "The list of tools"),
  };
  const streamed = { stream: true, stream_options: { include_usage: true } };
  return { ...body, ...parsed("chat-extra", "More fields"), ...streamed };
}

export function installSettings() {
  const temperature = byId("chat-temperature");
  temperature.addEventListener("input", () => {
    byId("chat-temperature-shown").textContent = temperature.value;
  });
  byId("chat-tools-example").addEventListener("click", () => {
    byId("chat-tools").value = JSON.stringify(EXAMPLE, null, 2);
  });
  onModels((all) => fillSelect(byId("chat-model"), choices(all.filter((one) => one.task === "generation"))));
  byId("chat-settings").open = matchMedia("(min-width: 56rem)").matches;
}
