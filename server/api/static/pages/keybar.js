// The field for an API key. It shows itself once the server wants one.

import { key, onKeyWanted } from "./api.js";
import { byId } from "./dom.js";

/** Prepares the field; `changed` is called after each new key. */
export function installKeybar(changed) {
  const [bar, field, open] = [byId("keybar"), byId("key"), byId("key-open")];

  const show = (visible) => {
    bar.hidden = !visible;
    open.hidden = visible || !key.get();
  };

  onKeyWanted(() => show(true));
  open.addEventListener("click", () => {
    show(true);
    field.focus();
  });
  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    key.set(field.value.trim());
    field.value = "";
    show(false);
    changed();
  });
  show(false);
}
