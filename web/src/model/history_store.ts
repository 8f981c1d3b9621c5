// Conversations in this browser: bounded, the oldest ones leave first.
import { createStore, del, get, set, update, type UseStore } from "idb-keyval";

import type { Conversation } from "./conversation";

export interface Summary {
  id: string;
  title: string;
  at: number;
  bytes: number; // about
}

export interface Bounds {
  conversations: number;
  bytes: number;
}

export const kBounds: Bounds = { conversations: 200, bytes: 64 << 20 };

const kIndex = "index";

export function sizeOf(conversation: Conversation): number {
  let bytes = 0;
  for (const message of Object.values(conversation.messages)) {
    bytes += 200 + 2 * message.text.length;
    const trace = message.answer?.trace;
    if (trace) bytes += trace.experts.byteLength + 24 * trace.prompt.length;
    for (const token of trace?.tokens ?? []) bytes += 40 + 40 * token.others.length;
  }
  return bytes;
}

// What stays, newest first, and the ids of what leaves. The newest always stays.
export function bounded(all: Summary[], bounds: Bounds): { kept: Summary[]; dropped: string[] } {
  const kept: Summary[] = [];
  const dropped: string[] = [];
  let bytes = 0;
  for (const summary of [...all].sort((a, b) => b.at - a.at)) {
    bytes += summary.bytes;
    const fits = kept.length < bounds.conversations && bytes <= bounds.bytes;
    if (fits || kept.length === 0) kept.push(summary);
    else dropped.push(summary.id);
  }
  return { kept, dropped };
}

export class HistoryStore {
  constructor(
    private readonly bounds: Bounds = kBounds,
    private readonly store: UseStore = createStore("dbrx-playground", "conversations"),
  ) {}

  async list(): Promise<Summary[]> {
    return (await get<Summary[]>(kIndex, this.store)) ?? [];
  }

  load(id: string): Promise<Conversation | undefined> {
    return get<Conversation>(`c:${id}`, this.store);
  }

  async save(conversation: Conversation): Promise<Summary[]> {
    const { id, title, at } = conversation;
    await set(`c:${id}`, conversation, this.store);
    const summary = { id, title, at, bytes: sizeOf(conversation) };
    return this.change((all) => [summary, ...all.filter((s) => s.id !== id)]);
  }

  async remove(id: string): Promise<Summary[]> {
    await del(`c:${id}`, this.store);
    return this.change((all) => all.filter((s) => s.id !== id));
  }

  private async change(edit: (all: Summary[]) => Summary[]): Promise<Summary[]> {
    let result: ReturnType<typeof bounded> = { kept: [], dropped: [] };
    await update<Summary[]>(kIndex, (all) => (result = bounded(edit(all ?? []), this.bounds)).kept, this.store);
    for (const id of result.dropped) await del(`c:${id}`, this.store);
    return result.kept;
  }
}
