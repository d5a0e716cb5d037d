// Elements made of text, never of markup: a model's output or name stays what it is, characters.

/** An element. Attributes that are null or false are left out, true is an empty one; strings become text nodes. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Calls `work` once nothing has called for `delayMs`. */
export function debounce(work, delayMs) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, delayMs);
  };
}

/** Puts text on the clipboard. Browsers allow it only on https and localhost; elsewhere false. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
