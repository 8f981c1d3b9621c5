import { signal } from "@preact/signals";

import { looks, statsTrouble, useStats } from "../api/stats";
import { ConversationInside } from "./conversation_inside";
import { ServerInside } from "./server_inside";
import { answers, inspect, inspected } from "./state";

const source = signal<"conversation" | "server">("conversation");

function AnswerMenu() {
  if (answers.value.length < 2) return null;
  return (
    <select class="answer-menu" aria-label="Answer" value={inspected.value?.id} onChange={(e) => inspect(e.currentTarget.value)}>
      {answers.value.map((m, i) => (
        <option key={m.id} value={m.id}>{`${i + 1}. ${m.text.replace(/\s+/g, " ").slice(0, 40) || "being written"}`}</option>
      ))}
    </select>
  );
}

export function InsidePage() {
  const isServer = source.value === "server";
  useStats(isServer);
  return (
    <div class="page">
      <header class="bar">
        <h2>Inside the model</h2>
        {isServer ? null : <AnswerMenu />}
        <div class="segments" role="group" aria-label="What to look at">
          <button type="button" aria-pressed={!isServer} onClick={() => (source.value = "conversation")}>Conversation</button>
          <button type="button" aria-pressed={isServer} onClick={() => (source.value = "server")}>Server</button>
        </div>
      </header>
      <div class="content">
        {isServer ? <ServerInside looks={looks.value} trouble={statsTrouble.value} /> : <ConversationInside />}
      </div>
    </div>
  );
}
