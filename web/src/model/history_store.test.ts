import "fake-indexeddb/auto";

import { createStore } from "idb-keyval";
import { expect, test } from "vitest";

import { newConversation, withMessage } from "./conversation";
import { bounded, HistoryStore, sizeOf } from "./history_store";

let n = 0;
const storeOf = (conversations: number, bytes = 1e9) => new HistoryStore({ conversations, bytes }, createStore(`test-${n++}`, "s"));

function conversation(id: string, at: number, text = "hello") {
  const made = withMessage(newConversation(), { id: "m", parent: null, role: "user", text, at, answer: null });
  return { ...made, id, at };
}

test("what is saved comes back, newest first", async () => {
  const store = storeOf(10);
  await store.save(conversation("a", 1));
  await store.save(conversation("b", 2));
  await store.save(conversation("a", 3, "again"));
  expect((await store.list()).map((s) => s.id)).toEqual(["a", "b"]);
  expect((await store.load("a"))!.messages.m.text).toBe("again");
});

test("the oldest leave when there are too many", async () => {
  const store = storeOf(2);
  for (const [id, at] of [["a", 1], ["b", 2], ["c", 3]] as const) await store.save(conversation(id, at));
  expect((await store.list()).map((s) => s.id)).toEqual(["c", "b"]);
  expect(await store.load("a")).toBeUndefined();
  await store.remove("c");
  expect((await store.list()).map((s) => s.id)).toEqual(["b"]);
});

test("the oldest leave when they are too large, the newest never", () => {
  const all = [1, 2, 3].map((at) => ({ id: String(at), title: "", at, bytes: 60 }));
  expect(bounded(all, { conversations: 9, bytes: 130 })).toMatchObject({ kept: [{ id: "3" }, { id: "2" }], dropped: ["1"] });
  expect(bounded(all, { conversations: 9, bytes: 10 }).kept.map((s) => s.id)).toEqual(["3"]);
});

test("what happened inside counts", () => {
  const c = conversation("a", 1);
  const plain = sizeOf(c);
  const trace = { prompt: [], tokens: [], layers: 40, topK: 4, experts: new Uint8Array(16_000) };
  const answer = { state: "complete" as const, error: "", finish: "", seed: "", fingerprint: "", json: false, timing: null, trace };
  expect(sizeOf({ ...c, messages: { m: { ...c.messages.m, answer } } }) - plain).toBeGreaterThanOrEqual(16_000);
});
