import { expect, test } from "vitest";

import { choose, type Conversation, history, type Message, newConversation, path, siblings, withChange, withMessage } from "./conversation";

const message = (id: string, parent: string | null, role: Message["role"], text: string): Message => ({ id, parent, role, text, at: 0, answer: null });

function withTwoAnswers(): Conversation {
  let c = newConversation();
  c = withMessage(c, message("q", null, "user", "  What   is it? "));
  c = withMessage(c, message("a1", "q", "assistant", "One"));
  return withMessage(c, message("a2", "q", "assistant", "Two"));
}

const texts = (c: Conversation) => path(c).map((m) => m.text.trim());

test("the newest branch is shown, and the others can be chosen again", () => {
  const c = withTwoAnswers();
  expect(texts(c)).toEqual(["What   is it?", "Two"]);
  expect(siblings(c, c.messages.a1).map((m) => m.id)).toEqual(["a1", "a2"]);
  expect(texts(choose(c, c.messages.a1))).toEqual(["What   is it?", "One"]);
});

test("a branch remembers what was chosen below it", () => {
  let c = withTwoAnswers();
  c = withMessage(c, message("q2", "a2", "user", "More"));
  c = withMessage(c, message("other", null, "user", "Edited"));
  expect(texts(c)).toEqual(["Edited"]);
  expect(texts(choose(c, c.messages.q))).toEqual(["What   is it?", "Two", "More"]);
});

test("the model is told only the branch that leads to the question", () => {
  const c = withMessage(withTwoAnswers(), message("q2", "a1", "user", "More"));
  expect(history(c, "q2").map((m) => m.content.trim())).toEqual(["What   is it?", "One", "More"]);
  expect(history(c, null)).toEqual([]);
});

test("the first question is the title", () => {
  expect(withTwoAnswers().title).toBe("What is it?");
});

test("values do not change, and a change of a message that is gone does nothing", () => {
  const before = withTwoAnswers();
  const after = withChange(before, "a1", { text: "New" });
  expect(before.messages.a1.text).toBe("One");
  expect(after.messages.a1.text).toBe("New");
  expect(withChange(before, "gone", { text: "x" })).toBe(before);
});
