// Files of requests, answered behind all other work: run one, watch all, fetch what came of them.

import { ask, askJson } from "../pages/api.js";
import { byId, make } from "../pages/dom.js";

const REQUEST = { path: "/v1/batches" };
const LOOK_MS = 2000;
const grouped = new Intl.NumberFormat("en");
const time = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/** The path that the first line of a file asks; all lines of a batch ask the same. */
async function endpointOf(file) {
  const [line] = (await file.slice(0, 100_000).text()).split("\n");
  try {
    const { url } = JSON.parse(line);
    if (typeof url === "string") return url;
  } catch {
    // told below, as for a line without a url
  }
  throw new Error("The first line of the file is no request: it needs custom_id, method, url and body.");
}

async function run(file) {
  const endpoint = await endpointOf(file);
  const form = new FormData();
  form.append("purpose", "batch");
  form.append("file", file);
  const { id } = await askJson({ method: "POST", path: "/v1/files", body: form });
  const body = { input_file_id: id, endpoint, completion_window: "24h", metadata: { file: file.name.slice(0, 512) } };
  await askJson({ method: "POST", path: "/v1/batches", body });
}

/** Fetches a file with the key of this tab, and has the browser save it. */
async function save(id, name) {
  const blob = await (await ask({ path: `/v1/files/${id}/content` })).blob();
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function countsOf({ status, request_counts: { total, completed, failed }, errors }) {
  if (errors) return errors.data.map(({ line, message }) => (line ? `Line ${line}: ${message}` : message)).join(" ");
  if (status === "validating") return "The server reads the file.";
  const refused = failed ? `, ${grouped.format(failed)} refused` : "";
  return `${grouped.format(completed)} of ${grouped.format(total)} lines answered${refused}`;
}

export function installBatches() {
  const [input, list, problem] = [byId("batches-file"), byId("batches-list"), byId("batches-problem")];
  const start = byId("batches-run");

  const attempt = (work) => async () => {
    problem.textContent = "";
    try {
      await work();
      await look();
    } catch (error) {
      problem.textContent = error.message;
    }
  };

  const action = (name, work) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", attempt(work));
    return button;
  };

  function cardOf(batch) {
    const name = batch.metadata?.file ?? batch.id;
    const { total, completed, failed } = batch.request_counts;
    const actions = make("div", { class: "row" });
    if (["validating", "in_progress"].includes(batch.status)) {
      actions.append(action("Cancel", () => ask({ method: "POST", path: `/v1/batches/${batch.id}/cancel` })));
    }
    if (batch.output_file_id) actions.append(action("Save the answers", () => save(batch.output_file_id, `${name}.answers.jsonl`)));
    if (batch.error_file_id) actions.append(action("Save the errors", () => save(batch.error_file_id, `${name}.errors.jsonl`)));
    return make(
      "article",
      { class: "card model", "aria-label": name },
      make("header", {}, make("h2", {}, name), make("span", { class: "state", "data-state": batch.status }, batch.status.replace("_", " "))),
      make("p", { class: "soft" }, `${batch.endpoint} · ${time.format(batch.created_at * 1000)}`),
      total ? make("progress", { max: String(total), value: String(completed + failed), "aria-label": "Lines answered" }) : "",
      make("p", { class: batch.errors ? "problem" : null }, countsOf(batch)),
      actions,
    );
  }

  let shown = "";
  async function look() {
    const { data } = await askJson(REQUEST);
    const now = JSON.stringify(data);
    if (now !== shown) list.replaceChildren(...data.map(cardOf)); // else a focused button would be lost
    shown = now;
  }

  start.addEventListener("click", attempt(async () => {
    const [file] = input.files;
    if (!file) throw new Error("Choose a file first.");
    await run(file);
    input.value = "";
  }));
  setInterval(() => {
    if (!byId("batches").hidden && !document.hidden) attempt(() => undefined)();
  }, LOOK_MS);
  return { request: () => REQUEST, shown: attempt(() => undefined) };
}
