// Starts the page: tabs, the API key, the list of models that all panels choose from.

import { asCurl } from "../pages/api.js";
import { byId, copy, make } from "../pages/dom.js";
import { installKeybar } from "../pages/keybar.js";
import { installBatches } from "./batches.js";
import { installChat } from "./chat.js";
import { installClassify } from "./classify.js";
import { installLive } from "./live.js";
import { installModels, refreshModels } from "./models.js";
import { installRerank } from "./rerank.js";
import { installSummarize } from "./summarize.js";
import { installTabs } from "./tabs.js";
import { installTranslate } from "./translate.js";

/** Each panel gives the request it would send now, for curl; one that is shown may want to know. */
const panels = {
  chat: installChat(),
  translate: installTranslate(),
  summarize: installSummarize(),
  classify: installClassify(),
  rerank: installRerank(),
  batches: installBatches(),
  models: installModels(),
  live: installLive(),
};

for (const place of document.querySelectorAll("[data-curl]")) {
  const shown = make("pre", { hidden: true, tabindex: "0", "aria-label": "The request as curl" });
  const button = make("button", { type: "button", class: "plain", "aria-expanded": "false" }, "Show as curl");
  const said = make("span", { class: "soft", role: "status" });
  button.addEventListener("click", async () => {
    shown.hidden = !shown.hidden;
    button.setAttribute("aria-expanded", String(!shown.hidden));
    button.textContent = shown.hidden ? "Show as curl" : "Hide curl";
    said.textContent = "";
    if (shown.hidden) return;
    shown.textContent = commandOf(panels[place.dataset.curl]);
    said.textContent = (await copy(shown.textContent)) ? "Copied" : "";
  });
  place.append(button, said, shown);
}

function commandOf(panel) {
  try {
    return asCurl(panel.request());
  } catch (error) {
    return `# ${error.message}`;
  }
}

installTabs((name) => panels[name].shown?.());
installKeybar(refreshModels);
refreshModels();
