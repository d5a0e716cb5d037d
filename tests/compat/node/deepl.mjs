// DeepL's own client.

import assert from "node:assert/strict";
import * as deepl from "deepl-node";
import { run, url } from "./checks.mjs";

const client = new deepl.DeepLClient("none", { serverUrl: url, maxRetries: 0 });

await run({
  async "a text is translated, its language found"() {
    const made = await client.translateText("Ich habe einen Hund.", null, "en-US");
    assert.match(made.text, /dog/);
    assert.equal(made.detectedSourceLang, "de");
  },

  async "texts come back in order"() {
    const made = await client.translateText(["I have a dog.", "The house is old."], "en", "de");
    assert.match(made[0].text, /Hund/);
    assert.match(made[1].text, /Haus/);
  },

  async "tags stay"() {
    const made = await client.translateText("<p>It is <b>cold</b>.</p>", "en", "de", { tagHandling: "html" });
    assert.match(made.text, /^<p>.*<b>.*<\/b>.*<\/p>$/);
  },

  async "languages and usage are told"() {
    const codes = (await client.getTargetLanguages()).map((language) => language.code);
    assert.ok(codes.includes("de") && codes.includes("fr"));
    assert.ok((await client.getUsage()).character.count > 0);
  },

  async "what is not done is refused by name"() {
    const options = { formality: "more" };
    await assert.rejects(client.translateText("Hello.", "en", "de", options), /formality/);
    await assert.rejects(client.translateText("Hello.", "en", "xx"), /xx/);
  },
});
