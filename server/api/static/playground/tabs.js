// Tabs: arrow keys go from one to the next, the address remembers which is shown.

import { byId } from "../pages/dom.js";

/** Prepares the tabs; `shown` is called with the name of each panel that is shown. */
export function installTabs(shown) {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const nameOf = (tab) => tab.getAttribute("aria-controls");

  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(nameOf(tab)).hidden = tab !== chosen;
    }
    history.replaceState(null, "", `#${nameOf(chosen)}`);
    scrollTo(0, 0);
    shown(nameOf(chosen));
  };

  const fromAddress = () => choose(tabs.find((tab) => `#${nameOf(tab)}` === location.hash) ?? tabs[0]);

  const steps = { ArrowRight: 1, ArrowLeft: -1 };
  for (const [place, tab] of tabs.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const next = { Home: 0, End: tabs.length - 1 }[event.key] ?? place + (steps[event.key] ?? NaN);
      if (Number.isNaN(next)) return;
      event.preventDefault();
      const target = tabs[(next + tabs.length) % tabs.length];
      target.focus();
      choose(target);
    });
  }
  addEventListener("hashchange", fromAddress);
  fromAddress();
}
