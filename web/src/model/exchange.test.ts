import { expect, test } from "vitest";

import { newConversation, withMessage, type Message } from "./conversation";
import { exportText, importText } from "./exchange";

function recorded(experts: Uint8Array | Uint16Array) {
  const answer: Message["answer"] = {
    state: "complete", error: "", finish: "stop", seed: "7", fingerprint: "f", json: false, timing: null,
    trace: { prompt: ["a"], tokens: [{ text: "b", logprob: -1, others: [] }], layers: 1, topK: 2, experts },
  };
  let c = withMessage(newConversation(), { id: "q", parent: null, role: "user", text: "Hi", at: 1, answer: null });
  c = withMessage(c, { id: "a", parent: "q", role: "assistant", text: "Ho", at: 2, answer });
  return c;
}

test.each([[Uint8Array.from([1, 250])], [Uint16Array.from([1, 300])]])("a conversation comes back whole: %s", (experts) => {
  const c = recorded(experts);
  const [back] = importText(exportText([c]));
  expect(back.id).not.toBe(c.id);
  expect({ ...back, id: c.id }).toEqual(c);
});

test.each([
  ["nothing", "no JSON"],
  ["{}", "not exported by the Playground"],
  ['{"format": "dbrx-playground-1", "conversations": [{"title": 3}]}', "damaged"],
  ['{"format": "dbrx-playground-1", "conversations": [null]}', "damaged"],
  [JSON.stringify({ format: "dbrx-playground-1", conversations: [{ title: "", chosen: {}, messages: { a: { id: "a", parent: "a", role: "user", text: "" } } }] }), "damaged"],
  [JSON.stringify({ format: "dbrx-playground-1", conversations: [{ title: "", chosen: {}, messages: { a: { id: "a", parent: "gone", role: "user", text: "" } } }] }), "damaged"],
])("%s is refused", (text, reason) => {
  expect(() => importText(text)).toThrow(reason);
});
