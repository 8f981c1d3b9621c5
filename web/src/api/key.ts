// The API key: asked for when the server wants one, kept for this tab only.
import { signal } from "@preact/signals";

const kName = "dbrx-api-key";

export const apiKey = signal(sessionStorage.getItem(kName) ?? "");

interface Question {
  reason: string;
  answer: (key: string | null) => void;
}

// What the key dialog shows; null: nobody asks.
export const keyQuestion = signal<Question | null>(null);

let pending: Promise<string | null> | null = null;

// Asks once, however many requests wait for it. Null when the user gave none.
export function askForKey(reason: string): Promise<string | null> {
  pending ??= new Promise<string | null>((resolve) => {
    keyQuestion.value = {
      reason,
      answer: (key) => {
        keyQuestion.value = null;
        pending = null;
        if (key !== null) setKey(key);
        resolve(key);
      },
    };
  });
  return pending;
}

export function setKey(key: string): void {
  apiKey.value = key;
  if (key) sessionStorage.setItem(kName, key);
  else sessionStorage.removeItem(kName);
}
