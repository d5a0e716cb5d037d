// LangChain.js: its agents, over both of OpenAI's APIs.

import assert from "node:assert/strict";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { createAgent, providerStrategy, tool } from "langchain";
import { z } from "zod";
import { Booking, ask, assertCalled, assertServed, found, kinds, run, table, url } from "./checks.mjs";

const configuration = { baseURL: `${url}/v1`, apiKey: "none" };

function chat(useResponsesApi) {
  const fields = { model: "assistant", temperature: 0, maxTokens: 120, maxRetries: 0 };
  return new ChatOpenAI({ ...fields, configuration, useResponsesApi });
}

function desk() {
  const called = [];
  const work = (fields) => {
    called.push(fields);
    return found;
  };
  const schema = z.object({ city: z.string(), kind: z.enum(kinds) });
  const description = "Find a provider of a service.";
  return { called, tools: [tool(work, { name: "find_provider", description, schema })] };
}

function both(name, check) {
  const kinds = { chat: false, responses: true };
  return Object.fromEntries(Object.entries(kinds).map(([kind, is]) => [`${name}, ${kind}`, () => check(chat(is))]));
}

await run({
  ...both("an agent calls its tool and words the result", async (model) => {
    const { called, tools } = desk();
    const agent = createAgent({ model, tools });
    const done = await agent.invoke({ messages: [{ role: "user", content: ask }] });
    assertServed(called, done.messages.at(-1).text);
  }),

  ...both("an agent goes on after its first answer", async (model) => {
    const { called, tools } = desk();
    const agent = createAgent({ model, tools, systemPrompt: "You book appointments." });
    const first = await agent.invoke({ messages: [{ role: "user", content: ask }] });
    const yes = { role: "user", content: "Yes, that is good." };
    const second = await agent.invoke({ messages: [...first.messages, yes] });
    assert.ok(called.length > 0);
    assert.ok(second.messages.length > first.messages.length + 1);
    assert.equal(second.messages.at(-1).type, "ai");
  }),

  ...both("an agent's steps stream", async (model) => {
    const { called, tools } = desk();
    const agent = createAgent({ model, tools });
    let text = "";
    const asked = { messages: [{ role: "user", content: ask }] };
    for await (const [message, { langgraph_node: node }] of await agent.stream(asked, { streamMode: "messages" })) {
      if (node !== "tools") text += message.text;
    }
    assertServed(called, text);
  }),

  ...both("an answer is of its schema", async (model) => {
    const agent = createAgent({ model, responseFormat: providerStrategy(Booking) });
    const done = await agent.invoke({ messages: [{ role: "user", content: table }] });
    assert.ok(Booking.safeParse(done.structuredResponse).success);
  }),

  ...both("an answer of a schema comes after the tool", async (model) => {
    const { called, tools } = desk();
    const agent = createAgent({ model, tools, responseFormat: providerStrategy(Booking) });
    const done = await agent.invoke({ messages: [{ role: "user", content: ask }] });
    assertCalled(called);
    assert.ok(Booking.safeParse(done.structuredResponse).success);
  }),

  async "the nearest text is found"() {
    const model = new OpenAIEmbeddings({ model: "embed", configuration });
    const [dog, law] = await model.embedDocuments(["a dog", "tax law"]);
    const puppy = await model.embedQuery("a puppy");
    const near = (other) => puppy.reduce((sum, value, index) => sum + value * other[index], 0);
    assert.ok(near(dog) > near(law));
  },
});
