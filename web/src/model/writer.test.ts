import { beforeEach, expect, test, vi } from "vitest";

import { parseChunk } from "../api/chunk";
import type { ChatChunk } from "../api/types";
import { speedOf, Writer } from "./writer";

let frames: (() => void)[] = [];
beforeEach(() => {
  frames = [];
  vi.stubGlobal("requestAnimationFrame", (f: () => void) => frames.push(f));
});

const chunk = (delta: object, more: object = {}): ChatChunk => ({ choices: [{ index: 0, delta, finish_reason: null, ...more }] });
const add = (writer: Writer, c: ChatChunk) => writer.add(c, c.choices[0]);

test("text, finish and seed are collected, and told once a frame", () => {
  const writer = new Writer("w", false);
  add(writer, chunk({ content: "He" }));
  add(writer, chunk({ content: "llo" }, { token_ids: [1, 2] }));
  add(writer, { ...parseChunk('{"seed":9223372036854775807,"choices":[]}'), ...chunk({}, { finish_reason: "stop" }) });
  expect(writer.text).toBe("Hello");
  expect(writer.tokens).toBe(3);
  expect(writer.answer("complete")).toMatchObject({ finish: "stop", seed: "9223372036854775807" });
  expect(frames.length).toBe(1);
  frames[0]();
  expect(writer.frame.value).toBe(1);
});

test("calls of functions are shown as text", () => {
  const writer = new Writer("w", false);
  add(writer, chunk({ tool_calls: [{ index: 0, function: { name: "get", arguments: "" } }] }));
  add(writer, chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a":1}' } }] }));
  expect(writer.text).toBe('get {"a":1}');
});

test("a seed keeps its digits and its sign", () => {
  expect(parseChunk('{"seed":-9223372036854775807,"choices":[]}').seedText).toBe("-9223372036854775807");
});

test("a seed in the text is no seed", () => {
  expect(parseChunk('{"choices":[{"delta":{"content":"\\"seed\\":12"}}]}').seedText).toBeUndefined();
});

test("speed counts from the first token on", () => {
  const timing = { firstMs: 500, totalMs: 1500, promptTokens: 1, cachedTokens: 0, tokens: 101 };
  expect(speedOf(timing)).toBe(100);
  expect(speedOf({ ...timing, totalMs: 501 })).toBeCloseTo(201.6, 1); // all at once
  expect(speedOf({ ...timing, tokens: 1 })).toBeNull();
});

test("the prompt's texts find their tokens, whichever comes first", () => {
  const early = new Writer("w", false);
  early.namePrompt(["cut", "a", "b"]);
  const first = chunk({}, { routed_experts: undefined });
  add(early, { ...first, prompt_token_ids: [1, 2] });
  const late = new Writer("w", false);
  add(late, { ...first, prompt_token_ids: [1, 2] });
  late.namePrompt(["cut", "a", "b"]);
  const npy = "k05VTVBZAQB2AHsnZGVzY3InOiAnfHUxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDYsIDQpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAwYOAAcJDgQGCw4BBAoMAQYODwEDBg8=";
  for (const writer of [early, late]) {
    add(writer, chunk({}, { routed_experts: npy }));
    expect(writer.trace()!.prompt).toEqual(["a", "b"]);
    expect(writer.trace()!.experts.length).toBe(24);
  }
});
