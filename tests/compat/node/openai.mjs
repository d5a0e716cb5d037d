// The official client.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { run, url } from "./checks.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "I need a table for two in San Jose tomorrow at seven." }];
const cancel = {
  type: "object",
  properties: { reason: { type: "string", enum: ["ill", "late"] } },
  required: ["reason"],
  additionalProperties: false,
};

await run({
  async "models are listed"() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes("assistant"));
  },

  async "a chat stream is the answer"() {
    const fields = { model: "assistant", messages, temperature: 0 };
    const whole = await client.chat.completions.create(fields);
    let text = "";
    let usage = null;
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create({ ...fields, ...options })) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0].message.content);
    // Not what was cached: the first request's prompt may or may not be in the cache by the second.
    assert.equal(usage.prompt_tokens, whole.usage.prompt_tokens);
    assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
  },

  async "the chat stream helper puts the answer together"() {
    const fields = { model: "assistant", messages, temperature: 0 };
    const final = await client.chat.completions.stream(fields).finalChatCompletion();
    const whole = await client.chat.completions.create(fields);
    assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
  },

  async "a required call has complete arguments"() {
    const answer = await client.chat.completions.create({
      model: "assistant",
      messages,
      temperature: 0,
      tools: [{ type: "function", function: { name: "cancel", parameters: cancel, strict: true } }],
      tool_choice: "required",
      parallel_tool_calls: false,
    });
    const [call] = answer.choices[0].message.tool_calls;
    assert.ok(["ill", "late"].includes(JSON.parse(call.function.arguments).reason));
  },

  async "responses stream as they are whole"() {
    const fields = { model: "assistant", input: messages[0].content, temperature: 0 };
    const whole = await client.responses.create(fields);
    const final = await client.responses.stream(fields).finalResponse();
    assert.equal(final.output_text, whole.output_text);
    assert.ok(whole.output_text.length > 0);
  },

  async "embeddings are of length one"() {
    const answer = await client.embeddings.create({ model: "embed", input: ["a dog", "a puppy"] });
    assert.equal(answer.data.length, 2);
    const length = Math.hypot(...answer.data[0].embedding);
    assert.ok(Math.abs(length - 1) < 1e-3, `${length}`);
  },

  async "errors have their classes and name the field"() {
    const bad = client.chat.completions.create({ model: "assistant", messages, temperature: 9 });
    await assert.rejects(bad, (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature");
    const none = client.chat.completions.create({ model: "gpt-6", messages });
    await assert.rejects(none, (error) => error instanceof OpenAI.NotFoundError);
  },

  async "a stream can be left"() {
    const stream = await client.chat.completions.create({ model: "assistant", messages, stream: true });
    for await (const chunk of stream) {
      assert.equal(chunk.object, "chat.completion.chunk");
      break;
    }
    const answer = await client.chat.completions.create({ model: "assistant", messages, max_tokens: 2 });
    assert.equal(answer.usage.completion_tokens, 2);
  },
});
