// What a JSON schema says, in words.

import { make } from "../pages/dom.js";

const nameOf = (schema) => schema.$ref.split("/").pop();

/** The schema itself where it is only referred to. */
export const resolve = (schema, schemas) => (schema?.$ref ? schemas[nameOf(schema)] : (schema ?? {}));

export function typeOf(schema) {
  if (!schema || schema === true) return "any";
  if (schema.$ref) return nameOf(schema);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map(typeOf).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) return `map to ${typeOf(schema.additionalProperties)}`;
  return schema.type ?? "any";
}

function meaningOf(name, field, required) {
  const known = field.default !== undefined && field.default !== null;
  if (required.includes(name)) return `${field.description ?? ""} Required.`;
  return `${field.description ?? ""}${known ? ` Default: ${JSON.stringify(field.default)}.` : ""}`;
}

/** Text with its `code` set as such. */
const prose = (text) => text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));

/** A table of an object's fields. */
export function fieldsOf(schema) {
  const heads = ["field", "type", "meaning"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", {}, make("tr", {}, ...heads));
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const cells = [[make("code", {}, name)], [typeOf(field)], prose(meaningOf(name, field, schema.required ?? []))];
    table.append(make("tr", {}, ...cells.map((cell) => make("td", {}, ...cell))));
  }
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Fields" }, table);
}

/** A body to begin with: what is required, and the model. */
export function exampleOf(schema) {
  const body = {};
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const wanted = (schema.required ?? []).includes(name) || name === "model";
    if (wanted && field.examples) body[name] = field.examples[0];
  }
  return JSON.stringify(body, null, 2);
}
