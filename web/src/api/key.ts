// The API key: asked for when the server wants one, kept for this tab only. A server without keys prints an address
// that ends with #token=...: what stands there is sent as a key is.
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

function takeToken(): void {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (!token) return;
  setKey(token);
  history.replaceState(null, "", location.pathname + location.search); // nobody shall copy it by mistake
}

export function setKey(key: string): void {
  apiKey.value = key;
  if (key) sessionStorage.setItem(kName, key);
  else sessionStorage.removeItem(kName);
}

takeToken();
addEventListener("hashchange", takeToken);
