import { useState } from "preact/hooks";

import { keyQuestion } from "../api/key";
import { Dialog } from "./dialog";

// Shown while a request waits for a key.
export function KeyDialog() {
  const question = keyQuestion.value;
  const [key, setKey] = useState("");
  if (!question) return null;
  const submit = (event: Event) => {
    event.preventDefault();
    if (!key.trim()) return;
    question.answer(key.trim());
    setKey("");
  };
  return (
    <Dialog title="API key" onClose={() => question.answer(null)}>
      <form onSubmit={submit} class="stack">
        <p>{question.reason} It stays in this tab and is gone when you close it.</p>
        <label class="field">
          <span>Key</span>
          <input type="password" autocomplete="off" autofocus value={key} onInput={(e) => setKey(e.currentTarget.value)} />
        </label>
        <footer>
          <button type="button" onClick={() => question.answer(null)}>Cancel</button>
          <button type="submit" class="primary">Use key</button>
        </footer>
      </form>
    </Dialog>
  );
}
