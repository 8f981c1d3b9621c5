// Which answer is looked at, and what of it.
import { computed, signal } from "@preact/signals";

import { shown, writers } from "../chat/state";
import type { Message } from "../model/conversation";
import { rowsOf, type Trace } from "../model/trace";

const wanted = signal<string | null>(null);
// Rows of the trace: the tokens of the prompt, then those of the answer.
export const selectedRow = signal<number | null>(null);
export const hoveredRow = signal<number | null>(null);
// One expert: the words that went to it are marked.
export const selectedCell = signal<{ layer: number; expert: number } | null>(null);

const hasTrace = (m: Message) => m.role === "assistant" && (writers.value.has(m.id) || m.answer?.trace != null);

export const answers = computed(() => shown.value.filter(hasTrace));
// The one that was asked for, if it is in the conversation shown; else its last one.
export const inspected = computed(() => answers.value.find((m) => m.id === wanted.value) ?? answers.value.at(-1));

export function inspect(message: string): void {
  wanted.value = message;
  selectedRow.value = null;
  hoveredRow.value = null;
  selectedCell.value = null;
}

export function selectRow(row: number | null): void {
  selectedCell.value = null;
  selectedRow.value = row;
}

export interface Inspected {
  message: Message;
  trace: Trace;
  isWriting: boolean;
}

// Read while rendering: it changes with each frame in which a token came.
export function inspectedTrace(): Inspected | null {
  const message = inspected.value;
  if (!message) return null;
  const writer = writers.value.get(message.id);
  void writer?.frame.value;
  const trace = writer ? writer.trace() : message.answer?.trace;
  return trace ? { message, trace, isWriting: writer !== undefined } : null;
}

// The row whose way is drawn: the one pointed at, the one chosen, or the newest while it is written.
export function shownRow({ trace, isWriting }: Inspected): number | null {
  const row = hoveredRow.value ?? selectedRow.value ?? (isWriting ? rowsOf(trace) - 1 : null);
  return row !== null && row >= 0 && row < rowsOf(trace) ? row : null;
}
