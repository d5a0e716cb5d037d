// Cohere's own client for Node: reranking by its first and second API.
import assert from "node:assert/strict";
import { CohereClient, CohereClientV2, CohereError } from "cohere-ai";
import { run, url } from "./checks.mjs";

const query = "When does the ferry leave?";
const documents = ["The museum is closed on Mondays.", "Boats to the island depart at 9:45.", "Oranges are sweet."];
const v1 = new CohereClient({ token: "none", environment: url, maxRetries: 0 });
const v2 = new CohereClientV2({ token: "none", environment: url, maxRetries: 0 });

await run({
  "the second API sorts by relevance": async () => {
    const answer = await v2.rerank({ model: "embed", query, documents, topN: 2 });
    assert.deepEqual(answer.results.map((each) => each.index).slice(0, 1), [1]);
    assert.equal(answer.results.length, 2);
    assert.ok(answer.results[0].relevanceScore > answer.results[1].relevanceScore);
    assert.equal(answer.meta.tokens.outputTokens, 0);
    assert.ok(answer.meta.tokens.inputTokens > 0);
  },
  "the first API returns documents": async () => {
    const answer = await v1.rerank({ model: "embed", query, documents, returnDocuments: true });
    assert.equal(answer.results[0].document.text, documents[1]);
    assert.equal(answer.results.length, 3);
  },
  "an error says what is wrong": async () => {
    await assert.rejects(v2.rerank({ model: "embed", query, documents: [] }), (error) => {
      assert.ok(error instanceof CohereError);
      assert.equal(error.statusCode, 400);
      assert.match(error.body.message, /documents/);
      return true;
    });
  },
});
