// Asks as one types: waits for a pause, stops the request that is no longer wanted, shows what is wrong.

import { ApiError } from "../pages/api.js";
import { debounce } from "../pages/dom.js";

const PAUSE_MS = 300;

/** Puts an error where it is read out; anything but the API's own words is a defect of the page and is thrown on. */
export function showProblem(place, error) {
  if (!(error instanceof ApiError)) throw error;
  const facts = document.createElement("small");
  facts.textContent = error.facts;
  place.replaceChildren(error.message, facts);
}

/**
 * Calls `work(signal)` after a pause in the input of `fields`, one call at a time: a newer one aborts the older.
 * @returns a function that calls it at once.
 */
export function askWhileTyping(fields, problem, work) {
  let running = null;
  const now = async () => {
    running?.abort();
    const mine = (running = new AbortController());
    try {
      await work(mine.signal);
      if (!mine.signal.aborted) problem.replaceChildren();
    } catch (error) {
      if (!mine.signal.aborted) showProblem(problem, error);
    }
  };
  const later = debounce(now, PAUSE_MS);
  for (const field of fields) field.addEventListener("input", later);
  return now;
}
