// The documentation: every route and every object of /openapi.json.

import { askJson } from "../pages/api.js";
import { byId, make } from "../pages/dom.js";
import { installKeybar } from "../pages/keybar.js";
import { fieldsOf, resolve } from "./schema.js";
import { tryIt } from "./try.js";

const content = byId("content");

function routeOf(path, method, route, schemas) {
  const asked = resolve(route.requestBody?.content?.["application/json"]?.schema, schemas);
  const answered = resolve(route.responses?.["200"]?.content?.["application/json"]?.schema, schemas);
  const summary = make("summary", {}, make("b", {}, method), make("code", {}, path), make("span", { class: "soft" }, route.description ?? ""));
  const node = make("details", { class: "route", id: `${method.toLowerCase()}${path}`, "data-words": JSON.stringify([path, route, asked]).toLowerCase() }, summary);
  if (asked.properties) node.append(make("h3", {}, "Request"), fieldsOf(asked));
  if (answered.properties) node.append(make("h3", {}, "Answer"), fieldsOf(answered));
  node.append(make("h3", {}, "Try it"), tryIt(method, path, asked.properties ? asked : null));
  return node;
}

function objectOf(name, schema) {
  const summary = make("summary", {}, make("code", {}, name), make("span", { class: "soft" }, schema.description ?? ""));
  return make("details", { class: "route", "data-words": JSON.stringify([name, schema]).toLowerCase() }, summary, fieldsOf(schema));
}

function show(api) {
  const schemas = api.components?.schemas ?? {};
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, route] of Object.entries(methods)) {
      const tag = route.tags?.[0] ?? "Other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(routeOf(path, method.toUpperCase(), route, schemas));
    }
  }
  const objects = Object.entries(schemas).filter(([, schema]) => schema.properties);
  groups.set("Objects", objects.map(([name, schema]) => objectOf(name, schema)));
  content.replaceChildren(...[...groups].map(([tag, nodes]) => make("section", {}, make("h2", {}, tag), ...nodes)));
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/);
  for (const section of content.querySelectorAll("section")) {
    let any = false;
    for (const node of section.querySelectorAll(".route")) {
      node.hidden = !words.every((word) => node.dataset.words.includes(word));
      any ||= !node.hidden;
    }
    section.hidden = !any;
  }
}

/** Opens what the address names: /docs#post/v1/translations. */
function openNamed() {
  const node = document.getElementById(location.hash.slice(1));
  if (node) node.open = true;
  node?.scrollIntoView();
}

byId("base").textContent = `${location.origin}/v1`;
byId("filter").addEventListener("input", filter);
addEventListener("hashchange", openNamed);
installKeybar(() => {});
try {
  show(await askJson({ path: "/openapi.json" }));
  openNamed();
} catch (error) {
  content.textContent = `Cannot read /openapi.json: ${error.message}`;
}
