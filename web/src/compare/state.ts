// The same questions to several panes at once, each with settings of its own.
import { computed, signal } from "@preact/signals";

import { ask } from "../api/ask";
import { models } from "../api/models";
import type { ChatMessage } from "../api/types";
import { newId } from "../model/conversation";
import { streamedBody } from "../model/request";
import { type Settings, standardSettings } from "../model/settings";
import { Writer } from "../model/writer";

export interface Turn {
  question: string;
  writer: Writer;
  state: "writing" | "complete" | "stopped" | "failed";
  error: string;
}

export interface Pane {
  id: string;
  settings: Settings;
  turns: Turn[];
}

export const kMostPanes = 4;

const newPane = (settings: Partial<Settings>): Pane => ({ id: newId(), settings: { ...standardSettings, record: false, ...settings }, turns: [] });

export const panes = signal<Pane[]>([newPane({ values: { temperature: 0 } }), newPane({ values: { temperature: 1 } })]);
export const isSynchronised = signal(true); // scrolling
export const showsDifferences = signal(true);
export const isAsking = computed(() => panes.value.some((p) => p.turns.at(-1)?.state === "writing"));

let controller = new AbortController();

function changePane(id: string, change: (pane: Pane) => Pane): void {
  panes.value = panes.value.map((pane) => (pane.id === id ? change(pane) : pane));
}

export function addPane(): void {
  panes.value = [...panes.value, { ...newPane(panes.value.at(-1)!.settings) }];
}

export function removePane(id: string): void {
  panes.value = panes.value.filter((pane) => pane.id !== id);
}

export function changePaneSettings(id: string, change: Partial<Settings>): void {
  changePane(id, (pane) => ({ ...pane, settings: { ...pane.settings, ...change } }));
}

export function clear(): void {
  controller.abort();
  panes.value = panes.value.map((pane) => ({ ...pane, turns: [] }));
}

export function stopAll(): void {
  controller.abort();
}

function messagesOf(pane: Pane, question: string): ChatMessage[] {
  const before = pane.turns.flatMap((turn): ChatMessage[] => [
    { role: "user", content: turn.question },
    { role: "assistant", content: turn.writer.text },
  ]);
  return [...before, { role: "user", content: question }];
}

async function run(pane: Pane, question: string, signal: AbortSignal): Promise<void> {
  const writer = new Writer(newId(), pane.settings.format !== "text");
  const set = (state: Turn["state"], error = "") =>
    changePane(pane.id, (p) => ({ ...p, turns: [...p.turns.filter((t) => t.writer !== writer), { question, writer, state, error }] }));
  set("writing");
  try {
    const model = pane.settings.model || models.value[0]?.id || "";
    const body = { ...streamedBody(pane.settings, messagesOf(pane, question), model), n: 1 };
    const failure = await ask(body, [writer], signal);
    if (!failure) set("complete");
    else if (failure.kind === "stopped") set("stopped");
    else set("failed", failure.message);
  } catch (error) {
    set("failed", (error as Error).message); // settings that make no request
  }
}

export function askAll(question: string): void {
  controller = new AbortController();
  for (const pane of panes.value) void run(pane, question, controller.signal);
}
