import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { handledElsewhere, type Parameter, parameters, readValue, showValue } from "./parameters";

interface Row {
  value: string;
  standard: string;
}

// The table of the parameters that are used, by name.
function documented(): Map<string, Row> {
  const page = readFileSync(new URL("../../../docs/api.md", import.meta.url), "utf8");
  const section = page.slice(page.indexOf("### Used"), page.indexOf("### Without effect"));
  const rows = new Map<string, Row>();
  for (const line of section.split("\n").filter((l) => l.startsWith("| `"))) {
    const [, names, value, standard] = line.split("|").map((cell) => cell.trim());
    for (const [, name] of names.matchAll(/`(\w+)`/g)) rows.set(name, { value, standard });
  }
  return rows;
}

// How docs/api.md writes a range.
function rangesOf(p: Parameter): RegExp {
  if (p.kind === "boolean") return /^boolean$/;
  if (p.kind === "seed") return /^integer of 64 bits$/;
  if (p.kind === "strings") return new RegExp(`list of up to ${p.max}\\b`);
  if (p.kind === "ids") return new RegExp(`^list of up to ${p.max} ids$`);
  if (p.kind === "bias") return new RegExp(`token id -> ${p.min} to ${p.max}$`);
  if (p.max !== undefined) return p.above ? new RegExp(`^above ${p.min}, at most ${p.max}$`) : new RegExp(`^${p.min} to ${p.max}$`);
  return p.min === 1 ? /^integer >= 1$/ : /^integer/;
}

describe("the page's parameters are those of docs/api.md", () => {
  const rows = documented();

  test("all of them, and no others", () => {
    const known = [...parameters.map((p) => p.name), ...Object.keys(handledElsewhere)];
    expect(rows.size).toBeGreaterThan(40);
    expect(known.sort()).toEqual([...rows.keys()].sort());
  });

  test.each(parameters.map((p) => [p.name, p] as const))("%s has its range and default", (name, p) => {
    const row = rows.get(name)!;
    expect(row.value).toMatch(rangesOf(p));
    if (p.standard !== undefined) expect(String(p.standard)).toBe(row.standard);
    else expect(row.standard).toMatch(/none|drawn|off|context/);
  });
});

describe("what is typed", () => {
  const named = (name: string) => parameters.find((p) => p.name === name)!;

  test("becomes the value to send", () => {
    expect(readValue(named("temperature"), " 0.5 ")).toBe(0.5);
    expect(readValue(named("temperature"), "")).toBeUndefined();
    expect(readValue(named("seed"), "18446744073709551")).toBe("18446744073709551");
    expect(readValue(named("stop"), "a\\nb\nc")).toEqual(["a\nb", "c"]);
    expect(readValue(named("stop_token_ids"), "1, 2 3")).toEqual([1, 2, 3]);
    expect(readValue(named("logit_bias"), "17: -100\n18:5")).toEqual({ 17: -100, 18: 5 });
  });

  test.each([
    ["temperature", "2.1"], ["temperature", "hot"], ["top_p", "0"], ["top_k", "1.5"], ["n", "0"], ["n", "129"],
    ["seed", "99999999999999999999"], ["seed", "1.5"], ["logit_bias", "17"], ["logit_bias", "1: 101"], ["stop_token_ids", "x"],
  ])("%s: %s is refused with the range", (name, text) => {
    expect(() => readValue(named(name), text)).toThrow(named(name).label);
  });

  test("is shown as it was", () => {
    for (const [name, text] of [["stop", "a\\nb\nc"], ["logit_bias", "17: -100\n18: 5"], ["stop_token_ids", "1, 2"], ["seed", "7"]]) {
      expect(showValue(named(name), readValue(named(name), text))).toBe(text);
    }
  });
});
