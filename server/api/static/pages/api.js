// Asking the server. A request is an object {method, path, body, stream}: the same one is sent and shown as curl.

const STORE = "hearth.key";
const wanted = new EventTarget();

/** The API key, kept until the tab is closed; "" is none. */
export const key = {
  get: () => sessionStorage.getItem(STORE) ?? "",
  set: (value) => (value ? sessionStorage.setItem(STORE, value) : sessionStorage.removeItem(STORE)),
};

/** Calls `listener` each time the server refuses for want of a key. */
export const onKeyWanted = (listener) => wanted.addEventListener("key", listener);

/** What the API says is wrong, in its own words. */
export class ApiError extends Error {
  constructor({ message, code = null, param = null }, status = 0, retryAfter = null) {
    super(message);
    Object.assign(this, { code, param, status, retryAfter });
  }

  /** The facts behind the message, in one line. */
  get facts() {
    const facts = [this.status || null, this.code, this.param && `param: ${this.param}`];
    if (this.retryAfter) facts.push(`try again in ${this.retryAfter} s`);
    return facts.filter(Boolean).join(" · ");
  }
}

/** Sends a request; a body that is no form is sent as JSON. An answer that is no success becomes an `ApiError`. An abort stays an `AbortError`. */
export async function ask(request, signal) {
  const headers = {};
  const isJson = request.body !== undefined && !(request.body instanceof FormData);
  if (isJson) headers["content-type"] = "application/json";
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  const body = isJson ? JSON.stringify(request.body) : request.body;
  let response;
  try {
    response = await fetch(request.path, { method: request.method ?? "GET", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ message: "The server cannot be reached. Is it running?" });
  }
  if (response.ok) return response;
  if (response.status === 401) wanted.dispatchEvent(new Event("key"));
  throw new ApiError(await problemOf(response), response.status, response.headers.get("retry-after"));
}

/** The parsed JSON of an answer. */
export const askJson = async (request, signal) => (await ask(request, signal)).json();

async function problemOf(response) {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text);
    return typeof error === "string" ? { message: error } : { ...error };
  } catch {
    return { message: text || `The server answered ${response.status}.` };
  }
}

/** The events of a stream, parsed, until its `[DONE]`; an error event or a stream without an end is thrown. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new ApiError({ message: "The answer broke off before its end." });
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      if (!block.startsWith("data: ")) continue; // a comment that keeps the connection open
      const data = block.slice("data: ".length);
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new ApiError(event.error);
      yield event;
    }
  }
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The same request for a shell. The key itself stays out of it: it is read from the environment. */
export function asCurl({ method = "GET", path, body }) {
  const words = [`curl -sN ${quoted(location.origin + path)}`];
  if (key.get()) words.push('-H "authorization: Bearer $HEARTH_API_KEY"');
  if (body !== undefined) {
    if (method !== "POST") words.push(`-X ${method}`);
    words.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  }
  return words.join(" \\\n  ");
}
