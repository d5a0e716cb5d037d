// What has come of one answer so far: its text, its tool calls, and how fast it came.

/** Collects the chunks of a chat completion. Times are on the clock of `performance.now`. */
export class Answer {
  text = "";
  calls = [];
  reason = null;
  usage = null;
  pieces = 0;
  #began;
  #first = null;
  #last = null;

  constructor(now) {
    this.#began = now;
  }

  /** Takes a chunk that came at `now`; returns the text that is new. */
  take(chunk, now) {
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices.find(({ index }) => index === 0);
    if (!choice) return "";
    if (choice.finish_reason) this.reason = choice.finish_reason;
    const text = choice.delta.content ?? "";
    const parts = choice.delta.tool_calls ?? [];
    if (text || parts.length) {
      this.#first ??= now;
      this.#last = now;
      this.pieces += 1;
    }
    this.text += text;
    for (const part of parts) this.#takeCall(part);
    return text;
  }

  #takeCall({ index, id, function: called }) {
    const call = (this.calls[index] ??= { id, name: "", arguments: "" });
    call.name += called.name ?? "";
    call.arguments += called.arguments ?? "";
  }

  /** The message as the next request brings it. */
  get message() {
    const message = { role: "assistant", content: this.text || null };
    if (this.calls.length) {
      message.tool_calls = this.calls.map(({ id, name, arguments: given }) => ({
        id,
        type: "function",
        function: { name, arguments: given },
      }));
    }
    return message;
  }

  /** How it went, in words: tokens, tokens a second, time to the first, why it ended. */
  get facts() {
    const facts = [];
    if (this.usage) facts.push(`${this.usage.completion_tokens} tokens`);
    // Over the whole time: several tokens reach the browser at once, so the times between them say nothing.
    const tokens = this.usage?.completion_tokens ?? this.pieces;
    if (this.#last !== null) facts.push(`${Math.round((tokens * 1000) / (this.#last - this.#began))} tokens/s`);
    if (this.#first !== null) facts.push(`first token after ${Math.round(this.#first - this.#began)} ms`);
    if (this.reason === null) facts.push("stopped");
    else if (this.reason === "length") facts.push("cut at the limit of tokens");
    return facts.join(" · ");
  }
}
