// Ollama's own client.

import assert from "node:assert/strict";
import { Ollama } from "ollama";
import { ask, assertServed, found, kinds, run, table, url } from "./checks.mjs";

const client = new Ollama({ host: url });
const asked = { model: "assistant", messages: [{ role: "user", content: table }], options: { temperature: 0 } };
const parameters = {
  type: "object",
  properties: { city: { type: "string" }, kind: { type: "string", enum: kinds } },
  required: ["city", "kind"],
};
const tool = {
  type: "function",
  function: { name: "find_provider", description: "Find a provider of a service.", parameters },
};

await run({
  async "a chat streams as it is whole"() {
    const whole = await client.chat(asked);
    let text = "";
    let last;
    for await (const part of await client.chat({ ...asked, stream: true })) {
      text += part.message.content;
      last = part;
    }
    assert.ok(text);
    assert.equal(text, whole.message.content);
    assert.equal(last.done_reason, "stop");
    assert.equal(last.eval_count, whole.eval_count);
  },

  async "a prompt is answered"() {
    const made = await client.generate({ model: "assistant:latest", prompt: table, options: { num_predict: 4 } });
    assert.equal(made.eval_count, 4);
  },

  async "a tool is called and its result worded"() {
    const messages = [{ role: "user", content: ask }];
    const { message } = await client.chat({ ...asked, messages, tools: [tool] });
    const [call] = message.tool_calls;
    messages.push(message, { role: "tool", content: found, tool_name: call.function.name });
    const worded = await client.chat({ ...asked, messages, tools: [tool] });
    assertServed([call.function.arguments], worded.message.content);
  },

  async "texts are embedded"() {
    const { embeddings } = await client.embed({ model: "embed", input: ["a dog", "a puppy"] });
    assert.deepEqual(embeddings.map((vector) => vector.length), [384, 384]);
  },

  async "models are listed and described"() {
    const names = (await client.list()).models.map((model) => model.name);
    assert.ok(names.includes("assistant:latest"));
    assert.deepEqual((await client.show({ model: "assistant" })).capabilities, ["completion", "tools"]);
    assert.ok((await client.ps()).models.length > 0);
    assert.ok((await client.version()).version);
  },

  async "what is not done is refused by name"() {
    await assert.rejects(client.chat({ ...asked, think: true }), /think/);
    await assert.rejects(client.chat({ ...asked, model: "nobody" }), /nobody/);
  },
});
