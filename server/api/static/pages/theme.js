// Sets the theme before the page is drawn, so that it does not flash: a plain script in the head, not a module.
"use strict";

(() => {
  const STORE = "hearth.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem(STORE);
  const current = () => chosen() ?? (system.matches ? "dark" : "light");

  const apply = () => {
    root.dataset.theme = current();
    const button = document.getElementById("theme");
    button?.setAttribute("aria-pressed", String(current() === "dark"));
  };

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      const next = current() === "dark" ? "light" : "dark";
      // What the system says anyway is not remembered: then the page goes on following it.
      if ((next === "dark") === system.matches) localStorage.removeItem(STORE);
      else localStorage.setItem(STORE, next);
      apply();
    });
  });
})();
