import { useEffect, useState } from "preact/hooks";

import { tokenize } from "../api/ask";
import { connection } from "../api/connection";
import { apiKey, keyQuestion } from "../api/key";
import { models } from "../api/models";
import { history } from "../model/conversation";
import { conversation, isWriting, modelName, shown } from "./state";

const kPauseMs = 250; // without typing, before the server is asked

// How much of the context the next question takes, as the server counts it.
export function TokenMeter({ draft }: { draft: string }) {
  const [count, setCount] = useState<number | null>(null);
  const context = models.value.find((m) => m.id === modelName.value)?.max_model_len ?? 0;
  const last = shown.value.at(-1)?.id ?? null;
  const { system } = conversation.value.settings;
  const isReady = !isWriting.value && context > 0 && connection.state.value === "ok" && !keyQuestion.value;
  const key = apiKey.value;

  useEffect(() => {
    if (!isReady) return;
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      // What is shown by now: another conversation may have been opened since this was rendered.
      const messages = history(conversation.value, shown.value.at(-1)?.id ?? null);
      if (draft.trim()) messages.push({ role: "user", content: draft });
      if (system.trim()) messages.unshift({ role: "system", content: system.trim() });
      try {
        const empty = messages.every((m) => m.role === "system");
        setCount(empty ? 0 : (await tokenize(messages, modelName.value, controller.signal)).count);
      } catch {
        setCount(null); // too long, or no server: nothing to show
      }
    }, kPauseMs);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [draft, last, system, isReady, key]);

  if (count === null || context === 0) return <div class="meter" />;
  return (
    <div class="meter" title="Tokens of the prompt as the model sees it, and the context">
      <progress value={count} max={context} aria-label="Share of the context that is used" />
      <span>{count.toLocaleString("en")} / {context.toLocaleString("en")} tokens</span>
    </div>
  );
}
