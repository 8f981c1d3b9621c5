import { expect, test } from "vitest";

import { balance, balanceOverTime, choose, combinations, evenness, expertsIn, layerCounts, loadOf, overlap } from "./routing";
import type { Trace } from "./trace";

// Three tokens, two layers, two experts each.
const trace: Trace = { prompt: ["a", "b", "c"], tokens: [], layers: 2, topK: 2, experts: Uint8Array.from([0, 1, 2, 3, 0, 1, 2, 4, 5, 6, 7, 8]) };

test("uses are counted by layer and expert", () => {
  const load = loadOf(trace);
  expect(expertsIn(trace)).toBe(16);
  expect(layerCounts(load, 0).slice(0, 8)).toEqual([2, 2, 0, 0, 0, 1, 1, 0]);
  expect(layerCounts(load, 1).slice(0, 9)).toEqual([0, 0, 2, 1, 1, 0, 0, 1, 1]);
  expect(load.counts.reduce((a, b) => a + b)).toBe(12);
});

test("evenness is 1 for equal shares and 0 for one expert alone", () => {
  expect(evenness([5, 5, 5, 5])).toBeCloseTo(1);
  expect(evenness([7, 0, 0, 0])).toBe(0);
  expect(evenness([1, 1, 0, 0])).toBeCloseTo(0.5);
  expect(evenness([0, 0])).toBe(1);
});

test("balance over time is that of each window", () => {
  const values = balanceOverTime(trace, 2);
  const direct = [[0, 1], [0, 2], [1, 3]].map(([begin, end]) => balance(loadOf(trace, begin, end)));
  values.forEach((value, i) => expect(value).toBeCloseTo(direct[i]));
});

test("tokens that share experts overlap", () => {
  expect(overlap(trace, 0, 0)).toBe(1);
  expect(overlap(trace, 0, 1)).toBe(0.75);
  expect(overlap(trace, 0, 2)).toBe(0);
});

test("combinations are counted once a layer", () => {
  expect(combinations(trace)).toBe(5);
  expect(choose(16, 4)).toBe(1820);
});
