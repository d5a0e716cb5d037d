// Shared by the other scripts in this folder. node SCRIPT URL runs a client's checks against the server at URL.

import assert from "node:assert/strict";
import { z } from "zod";

export const url = process.argv[2];

// A desk that books appointments: requests, the values of its tool's arguments, and the tool's result.
export const ask = "I need a dentist in San Jose.";
export const kinds = ["dentist", "doctor", "hairdresser"];
export const found = JSON.stringify([{ name: "Dr. Bella Rossi", city: "San Jose" }]);

export const table = "I need a table for two in San Jose.";
export const Booking = z.object({
  city: z.string().max(20),
  guests: z.number().int().min(1).max(12),
  seating: z.enum(["indoors", "outdoors"]).nullable(),
});

// The model called the tool once, with the arguments that the request names.
export function assertCalled(called) {
  assert.deepEqual(called, [{ city: "San Jose", kind: "dentist" }]);
}

// The model called the tool once, and the answer names the provider that the tool returned.
export function assertServed(called, text) {
  assertCalled(called);
  assert.match(text, /Rossi/);
}

// Runs all checks and prints the errors of those that fail. Prints "ok N" if all N pass.
export async function run(checks) {
  const failed = [];
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (error) {
      failed.push(name);
      console.error(`not ok: ${name}\n${error.stack}`);
    }
  }
  if (failed.length > 0) process.exit(1);
  console.log(`ok ${Object.keys(checks).length}`);
}
