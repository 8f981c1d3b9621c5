// Panes side by side.
import assert from "node:assert/strict";
import { test } from "node:test";

import { goTo, openPage, screenshot } from "./browser.mjs";
import { shared } from "./shared.mjs";

async function askAll(page, text) {
  await page.getByRole("textbox", { name: "Message to all panes" }).fill(text);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Stop all" }).waitFor({ state: "detached" });
  await page.waitForFunction(() => [...document.querySelectorAll(".pane")].every((pane) => pane.querySelector(".pane-speed strong")));
}

async function setInPane(page, letter, label, value) {
  await page.getByRole("button", { name: `Settings of pane ${letter}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: label, exact: true }).fill(value);
  await page.keyboard.press("Escape");
}

test("the same question goes to all panes, with differences and speed", async () => {
  const { page, close } = await openPage(shared.browser, shared.server.url);
  await goTo(page, "Compare");
  await page.getByRole("button", { name: "Add a pane" }).click();
  await setInPane(page, "B", "Temperature", "0");
  await setInPane(page, "C", "More of the request", '{"structured_outputs": {"choice": ["Something else."]}}');
  await askAll(page, "Who are you?");
  const pane = (letter) => page.getByRole("region", { name: `Pane ${letter}` });
  await pane("B").getByText("same as A").waitFor();
  assert.match(await pane("C").locator(".pane-speed").innerText(), /\d+ % differs from A/);
  assert.ok((await pane("C").locator("mark").allInnerTexts()).join("").includes("Something"));
  assert.match(await pane("A").locator(".pane-speed").innerText(), /\d+ tokens.*first.*tok\/s/s);
  await page.getByRole("switch", { name: "Differences" }).uncheck();
  assert.equal(await page.locator("mark").count(), 0);
  await askAll(page, "And what is 17 plus 25?");
  assert.equal(await pane("A").locator(".turn").count(), 2);
  await screenshot(page, "compare-three");
  await pane("C").getByRole("button", { name: "Remove pane C" }).click();
  assert.equal(await page.locator(".pane").count(), 2);
  await close();
});

test("panes scroll together", async () => {
  const { page, close } = await openPage(shared.browser, shared.server.url);
  await goTo(page, "Compare");
  await setInPane(page, "A", "More of the request", '{"ignore_eos": true, "max_tokens": 500}');
  await setInPane(page, "B", "More of the request", '{"ignore_eos": true, "max_tokens": 400}');
  for (let i = 0; i < 2; ++i) await askAll(page, "Write Python functions.");
  const tops = () => page.locator(".pane-scroller").evaluateAll((all) => all.map((s) => s.scrollTop / Math.max(1, s.scrollHeight - s.clientHeight)));
  await page.locator(".pane-scroller").first().evaluate((s) => (s.scrollTop = s.scrollHeight));
  await page.waitForFunction(() => [...document.querySelectorAll(".pane-scroller")].every((s) => s.scrollTop > 0));
  const [a, b] = await tops();
  assert.ok(Math.abs(a - b) < 0.05, `${a} ${b}`);
  await close();
});
