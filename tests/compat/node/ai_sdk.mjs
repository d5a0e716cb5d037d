// The AI SDK, with its provider for compatible servers and with OpenAI's own (chat and responses).

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  Output,
  cosineSimilarity,
  embedMany,
  experimental_decide,
  generateText,
  isStepCount,
  streamText,
  tool,
} from "ai";
import { z } from "zod";
import { Booking, ask, assertCalled, assertServed, found, kinds, run, table, url } from "./checks.mjs";

const place = { baseURL: `${url}/v1`, apiKey: "none" };
const options = { name: "hearth", includeUsage: true, supportsStructuredOutputs: true };
const compatible = createOpenAICompatible({ ...place, ...options });
const openai = createOpenAI(place);
// The responses model refers to stored items by their ids unless store is false.
const providers = {
  compatible: { model: compatible("assistant") },
  "openai, chat": { model: openai.chat("assistant") },
  "openai, responses": { model: openai("assistant"), providerOptions: { openai: { store: false } } },
};

function desk() {
  const called = [];
  const find_provider = tool({
    description: "Find a provider of a service.",
    inputSchema: z.object({ city: z.string(), kind: z.enum(kinds) }),
    execute: async (fields) => {
      called.push(fields);
      return found;
    },
  });
  return { called, tools: { find_provider }, stopWhen: isStepCount(4) };
}

function each(name, check) {
  return Object.fromEntries(
    Object.entries(providers).map(([kind, provider]) => [
      `${name}, ${kind}`,
      () => check({ ...provider, temperature: 0, maxOutputTokens: 120, maxRetries: 0 }),
    ]),
  );
}

await run({
  ...each("a second turn brings the first", async (fields) => {
    const messages = [{ role: "user", content: table }];
    const first = await generateText({ ...fields, instructions: "You book appointments.", messages });
    messages.push(...first.response.messages, { role: "user", content: "Italian food, please." });
    const second = await generateText({ ...fields, instructions: "You book appointments.", messages });
    assert.ok(first.text && second.text);
    assert.ok(second.usage.inputTokens > first.usage.inputTokens);
  }),

  ...each("a tool is called and its result worded", async (fields) => {
    const { called, ...tools } = desk();
    const done = await generateText({ ...fields, ...tools, prompt: ask });
    assert.equal(done.steps.length, 2);
    assertServed(called, done.text);
  }),

  ...each("a tool is called and its result worded, streamed", async (fields) => {
    const { called, ...tools } = desk();
    let wrong = null;
    const stream = streamText({ ...fields, ...tools, prompt: ask, onError: ({ error }) => (wrong = error) });
    let text = "";
    for await (const part of stream.textStream) text += part;
    assert.equal(wrong, null);
    assertServed(called, text);
    assert.ok((await stream.usage).outputTokens > 0);
  }),

  ...each("a turn after the tool's brings its call and result", async (fields) => {
    const { called, ...tools } = desk();
    const messages = [{ role: "user", content: ask }];
    const first = await generateText({ ...fields, ...tools, messages });
    messages.push(...first.response.messages, { role: "user", content: "Thank you, that is all." });
    const second = await generateText({ ...fields, ...tools, messages });
    assert.ok(called.length > 0);
    assert.ok(second.text);
  }),

  ...each("an output is of its schema", async (fields) => {
    const output = Output.object({ schema: Booking });
    const done = await generateText({ ...fields, output, prompt: table });
    assert.ok(Booking.safeParse(done.output).success);
  }),

  ...each("an output is one of the choices", async (fields) => {
    const output = Output.choice({ options: ["booking", "complaint"] });
    const done = await generateText({ ...fields, output, prompt: table });
    assert.ok(["booking", "complaint"].includes(done.output));
  }),

  ...each("an output of a schema comes after the tool", async (fields) => {
    const { called, ...tools } = desk();
    const done = await generateText({ ...fields, ...tools, output: Output.object({ schema: Booking }), prompt: ask });
    assertCalled(called);
    assert.ok(Booking.safeParse(done.output).success);
  }),

  async "the nearest text is found"() {
    for (const model of [compatible.embeddingModel("embed"), openai.embedding("embed")]) {
      const { embeddings } = await embedMany({ model, values: ["a puppy", "a dog", "tax law"] });
      const [near, far] = embeddings.slice(1).map((other) => cosineSimilarity(embeddings[0], other));
      assert.ok(near > far);
    }
  },

  async "what the server would have to remember is refused with the way out"() {
    const messages = [{ role: "user", content: ask }];
    const fields = { model: openai("assistant"), maxOutputTokens: 20, maxRetries: 0 };
    const first = await generateText({ ...fields, messages });
    messages.push(...first.response.messages, { role: "user", content: "On Friday." });
    await assert.rejects(generateText({ ...fields, messages }), /'store': false/);
  },

  async "a decision is made"() {
    const criteria = { positive: "They are content.", negative: "They are not." };
    const questions = { mood: { type: "choice", instructions: "How do they feel?", criteria } };
    const state = "The room was dirty and nobody helped us.";
    const model = openai.decisionModel("sentiment");
    const { answers } = await experimental_decide({ model, state, questions, maxRetries: 0 });
    assert.equal(answers.mood.choice, "negative");
  },
});
