// Panes side by side.
import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually, goTo, openPage, screenshot } from "./browser.mjs";
import { shared } from "./shared.mjs";

async function askAll(page, text) {
  const inPanes = (selector) => page.locator(".pane").evaluateAll((all, s) => all.map((pane) => pane.querySelectorAll(s).length), selector);
  const before = await inPanes(".turn");
  await page.getByRole("textbox", { name: "Message to all panes" }).fill(text);
  await page.keyboard.press("Enter");
  await eventually(async () => assert.deepEqual(await inPanes(".turn"), before.map((n) => n + 1)));
  await page.getByRole("button", { name: "Stop all" }).waitFor({ state: "detached" });
  await eventually(async () => assert.deepEqual(await inPanes(".turn .pane-speed strong"), before.map((n) => n + 1)));
}

async function setInPane(page, letter, label, value) {
  await page.getByRole("button", { name: `Settings of pane ${letter}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: label, exact: true }).fill(value);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
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
  await eventually(async () => assert.match(await pane("C").locator(".pane-speed").innerText(), /\d+ % differs from A/));
  await eventually(async () => assert.match((await pane("C").locator("mark").allInnerTexts()).join(""), /Something/));
  assert.match(await pane("A").locator(".pane-speed").innerText(), /\d+ tokens.*first.*tok\/s/s);
  await page.getByRole("switch", { name: "Differences" }).uncheck();
  await eventually(async () => assert.equal(await page.locator("mark").count(), 0));
  await askAll(page, "And what is 17 plus 25?");
  await screenshot(page, "compare-three");
  await pane("C").getByRole("button", { name: "Remove pane C" }).click();
  await eventually(async () => assert.equal(await page.locator(".pane").count(), 2));
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
  await eventually(async () => {
    const [a, b] = await tops();
    assert.ok(a > 0 && Math.abs(a - b) < 0.05, `${a} ${b}`);
  });
  await close();
});
