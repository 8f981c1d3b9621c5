import { expect, test } from "vitest";

import { dialects, snippet, toPython } from "./snippets";

const body = { model: "m", messages: [{ role: "user", content: "It's “so”\n" }], temperature: 0, seed: "9223372036854775807", top_k: 3, stop: null };

test("JSON is written as Python", () => {
  expect(toPython([true, null, 1.5, "a\"\n"])).toBe('[\n    True,\n    None,\n    1.5,\n    "a\\"\\n",\n]');
  expect(toPython({ a: {} })).toBe('{\n    "a": {},\n}');
});

test("each dialect names the server, and no key", () => {
  for (const { id } of dialects) {
    const code = snippet(id, body, "http://h:1");
    expect(code).toContain("http://h:1");
    expect(code).toContain("DBRX_API_KEY");
  }
});

test("members that the openai package does not know go into extra_body", () => {
  const code = snippet("openai-python", body, "http://h:1");
  expect(code).toContain("    seed=9223372036854775807,");
  expect(code).toMatch(/extra_body=\{\n {8}"top_k": 3,/);
});

test("a quote does not end the shell's string", () => {
  expect(snippet("curl", body, "http://h:1")).toContain("It'\\''s");
});
