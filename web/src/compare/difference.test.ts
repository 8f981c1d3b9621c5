import { expect, test } from "vitest";

import { differences } from "./difference";

test("what the first text does not have is marked", () => {
  const { pieces, share } = differences("the red house", "the blue house");
  expect(pieces).toEqual([{ text: "the ", isNew: false }, { text: "blue", isNew: true }, { text: " house", isNew: false }]);
  expect(share).toBeCloseTo(4 / 14);
});

test("equal texts differ in nothing, and other texts in all", () => {
  expect(differences("a b", "a b").share).toBe(0);
  expect(differences("", "").share).toBe(0);
  expect(differences("x", "y").share).toBe(1);
});
