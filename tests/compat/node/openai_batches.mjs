// The official client's files, uploads and batches.

import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";
import { run, url } from "./checks.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const ended = ["completed", "failed", "expired", "cancelled"];
const lines = ["a", "b", "c"].map((id) =>
  JSON.stringify({ custom_id: id, method: "POST", url: "/v1/embeddings", body: { model: "embed", input: id } }),
);
const content = Buffer.from(`${lines.join("\n")}\n`);

await run({
  async "a batch goes from its file to its answers"() {
    const file = await client.files.create({ file: await toFile(content, "lines.jsonl"), purpose: "batch" });
    assert.equal(file.bytes, content.length);
    let batch = await client.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/embeddings",
      completion_window: "24h",
    });
    while (!ended.includes(batch.status)) batch = await client.batches.retrieve(batch.id);
    assert.equal(batch.status, "completed");
    assert.deepEqual(batch.request_counts, { total: 3, completed: 3, failed: 0 });
    const output = await (await client.files.content(batch.output_file_id)).text();
    const answers = output.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(answers.map((answer) => answer.custom_id), ["a", "b", "c"]);
    assert.equal(answers[0].response.body.data[0].embedding.length, 384);
    const seen = [];
    for await (const one of client.batches.list({ limit: 1 })) seen.push(one.id);
    assert.ok(seen.includes(batch.id));
    assert.equal((await client.files.delete(file.id)).deleted, true);
    await assert.rejects(client.batches.cancel(batch.id), OpenAI.BadRequestError);
  },

  async "an upload in parts is one file"() {
    const upload = await client.uploads.create({
      bytes: content.length,
      filename: "parts.jsonl",
      mime_type: "application/jsonl",
      purpose: "batch",
    });
    const ids = [];
    for (const piece of [content.subarray(0, 50), content.subarray(50)]) {
      ids.push((await client.uploads.parts.create(upload.id, { data: await toFile(piece, "part") })).id);
    }
    const done = await client.uploads.complete(upload.id, { part_ids: ids });
    assert.equal(done.status, "completed");
    assert.equal(await (await client.files.content(done.file.id)).text(), content.toString());
  },
});
