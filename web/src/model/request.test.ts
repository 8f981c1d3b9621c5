import { expect, test } from "vitest";

import { plainBody, streamedBody, toJson } from "./request";
import { standardSettings } from "./settings";

const messages = [{ role: "user" as const, content: "Hi" }];

test("only what was set is sent", () => {
  expect(plainBody(standardSettings, messages, "m")).toEqual({ model: "m", messages });
  const settings = { ...standardSettings, system: " Be short. ", values: { temperature: 0, stop: ["x"] } };
  expect(plainBody(settings, messages, "m")).toEqual({
    model: "m", temperature: 0, stop: ["x"], messages: [{ role: "system", content: "Be short." }, ...messages],
  });
});

test("further members win, and have to be an object", () => {
  const settings = { ...standardSettings, values: { top_k: 4 }, extra: '{"top_k": 5, "tools": []}' };
  expect(plainBody(settings, messages, "m")).toMatchObject({ top_k: 5, tools: [] });
  expect(() => plainBody({ ...settings, extra: "[1]" }, messages, "m")).toThrow("More of the request");
  expect(() => plainBody({ ...settings, extra: "{" }, messages, "m")).toThrow("More of the request");
});

test("a schema is sent as one", () => {
  const settings = { ...standardSettings, format: "json_schema" as const, schema: '{"type": "array"}' };
  expect(plainBody(settings, messages, "m").response_format).toEqual({ type: "json_schema", json_schema: { name: "answer", schema: { type: "array" } } });
  expect(() => plainBody({ ...settings, schema: "nothing" }, messages, "m")).toThrow("Schema");
});

test("a model that is not known yet is left to the server", () => {
  expect(streamedBody(standardSettings, messages, "")).not.toHaveProperty("model");
  expect(streamedBody(standardSettings, messages, "m")).toHaveProperty("model", "m");
});

test("nothing is recorded beside the safety filter", () => {
  expect(streamedBody(standardSettings, messages, "m")).toMatchObject({ stream: true, logprobs: true, return_routed_experts: true });
  const safe = { ...standardSettings, values: { enable_safety_filter: true } };
  expect(streamedBody(safe, messages, "m")).not.toHaveProperty("logprobs");
  expect(streamedBody({ ...standardSettings, record: false }, messages, "m")).not.toHaveProperty("return_token_ids");
});

test("a seed of 64 bits is sent in full", () => {
  expect(toJson({ model: "m", seed: "9223372036854775807" })).toBe('{"seed":9223372036854775807,"model":"m"}');
  expect(JSON.parse(toJson({ model: "m", seed: "7", n: 2 }, 2))).toEqual({ model: "m", seed: 7, n: 2 });
  expect(toJson({ model: "m" })).toBe('{"model":"m"}');
});
