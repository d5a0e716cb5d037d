// Anthropic's own client.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { ask, assertServed, found, kinds, run, table, url } from "./checks.mjs";

const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
const asked = { model: "assistant", max_tokens: 80, temperature: 0, messages: [{ role: "user", content: table }] };
const tool = {
  name: "find_provider",
  description: "Find a provider of a service.",
  input_schema: {
    type: "object",
    properties: { city: { type: "string" }, kind: { enum: kinds } },
    required: ["city", "kind"],
    additionalProperties: false,
  },
};

await run({
  async "a message streams as it is whole"() {
    const whole = await client.messages.create(asked);
    const stream = client.messages.stream(asked);
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const final = await stream.finalMessage();
    assert.ok(text);
    assert.equal(text, whole.content[0].text);
    assert.equal(final.content[0].text, text);
    assert.equal(final.stop_reason, "end_turn");
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  },

  async "tokens are counted"() {
    const counted = await client.messages.countTokens({ model: "assistant", messages: asked.messages });
    const { usage } = await client.messages.create(asked);
    assert.equal(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens);
  },

  async "a tool is called and its result worded"() {
    const fields = { ...asked, tools: [tool] };
    const messages = [{ role: "user", content: ask }];
    const called = await client.messages.create({ ...fields, messages });
    assert.equal(called.stop_reason, "tool_use");
    const [call] = called.content;
    const streamed = await client.messages.stream({ ...fields, messages }).finalMessage();
    assert.deepEqual(streamed.content[0].input, call.input);
    messages.push({ role: "assistant", content: called.content });
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: found }] });
    const worded = await client.messages.create({ ...fields, messages });
    assertServed([call.input], worded.content[0].text);
  },

  async "refusals are the package's own errors"() {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } };
    const seeing = { ...asked, messages: [{ role: "user", content: [image] }] };
    await assert.rejects(client.messages.create(seeing), (error) => {
      assert.ok(error instanceof Anthropic.BadRequestError);
      assert.match(error.message, /'image'/);
      return true;
    });
    await assert.rejects(client.messages.create({ ...asked, model: "nobody" }), Anthropic.NotFoundError);
  },
});
