import { expect, test } from "vitest";

import { messagesOf, type RecentRequest, settingsOf, withNewest } from "./recent_request";

const request = (input: unknown, answer: string | null): RecentRequest => ({
  id: "r", cursor: 1, request_id: "q", at: 0, key: null, model: "m", route: "/v1/chat/completions", dialect: "openai", status: 200, error: null,
  blocked: false, seconds: 1, params: { n: 1, temperature: 0.5, seed: 7, stop: ["x"] },
  usage: { prompt_tokens: 1, cached_tokens: 0, completion_tokens: 1 },
  choices: [{ finish_reason: "stop", answer, time_to_first_token_seconds: 0.1 }], input, is_cut: false,
});

test("messages and the answer become a conversation", () => {
  const input = [{ role: "developer", content: "Be short." }, { role: "user", content: [{ type: "text", text: "a" }, { type: "text", text: "b" }] }];
  expect(messagesOf(request(input, "Yes"))).toEqual([
    { role: "system", content: "Be short." }, { role: "user", content: "a\nb" }, { role: "assistant", content: "Yes" },
  ]);
});

test("a prompt is a question, and nothing is nothing", () => {
  expect(messagesOf(request(["Once"], null))).toEqual([{ role: "user", content: "Once" }]);
  expect(messagesOf(request("Once", null))).toEqual([{ role: "user", content: "Once" }]);
  expect(messagesOf(request(null, "Yes"))).toEqual([]);
});

test("its parameters become settings", () => {
  expect(settingsOf(request(null, null))).toEqual({ values: { temperature: 0.5, seed: "7", stop: ["x"] } });
});

test("the newest come before those shown, once each, and without a hole", () => {
  const of = (...cursors: number[]) => cursors.map((cursor) => ({ ...request(null, null), cursor }));
  const shown = of(5, 4, 3, 2, 1);
  expect(withNewest(shown, of(7, 6, 5))).toEqual(of(7, 6, 5, 4, 3, 2, 1));
  expect(withNewest(shown, of(5, 4, 3))).toEqual(shown);
  expect(withNewest(shown, of(9, 8, 7))).toEqual(of(9, 8, 7));
  expect(withNewest([], of(2, 1))).toEqual(of(2, 1));
  expect(withNewest(shown, [])).toEqual([]);
});
