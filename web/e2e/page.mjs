// What the page is made of and how it behaves everywhere: size, headers, accessibility, narrow screens.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { ask, eventually, goTo, openPage, screenshot } from "./browser.mjs";
import { shared } from "./shared.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function assertAccessible(page, what) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  const told = serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join("\n  ")}`);
  assert.deepEqual(told, [], what);
}

test("the first load is below 300 KB, from this origin, under default-src 'self'", async () => {
  const { browser, server } = shared;
  const context = await browser.newContext();
  const page = await context.newPage();
  const responses = [];
  page.on("response", (response) => responses.push(response));
  await page.goto(server.url, { waitUntil: "networkidle" });
  let bytes = 0;
  for (const response of responses) {
    assert.equal(new URL(response.url()).origin, server.url);
    const headers = await response.allHeaders();
    bytes += Number(headers["content-length"] ?? 0);
    if (!/\/$|\/assets\//.test(response.url())) continue;
    assert.match(headers["content-security-policy"], /^default-src 'self'(;|$)/);
    assert.doesNotMatch(headers["content-security-policy"], /unsafe|data:|\*/);
    assert.equal(headers["content-encoding"], "gzip");
    assert.equal(headers["x-content-type-options"], "nosniff");
  }
  assert.ok(bytes > 20_000 && bytes < 300_000, `${bytes} bytes`);
  console.log(`first load: ${bytes} bytes`);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious on any page, ${colorScheme}`, async () => {
    const { page, close } = await openPage(shared.browser, shared.server.page, { colorScheme, reducedMotion: "reduce" });
    await assertAccessible(page, "welcome");
    await screenshot(page, `welcome-${colorScheme}`);
    await ask(page, "Who are you?");
    await ask(page, "Extract customer, quantity as JSON.\n\nVelma Sorn in Tarvik ordered 12 pieces of the Dolka lamp, order ORD-4711.");
    await assertAccessible(page, "chat");
    await screenshot(page, `chat-${colorScheme}`);
    await page.getByRole("button", { name: "Get code" }).click();
    await page.getByRole("dialog").waitFor();
    await assertAccessible(page, "code");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await goTo(page, "Inside");
    await page.locator(".word:not(.of-prompt)").nth(5).click();
    await page.locator(".chart canvas").waitFor();
    await assertAccessible(page, "inside");
    await screenshot(page, `inside-${colorScheme}`);
    await goTo(page, "Compare");
    await page.getByRole("textbox", { name: "Message to all panes" }).fill("Who are you?");
    await page.keyboard.press("Enter");
    await page.locator(".pane-speed .changed").waitFor();
    await assertAccessible(page, "compare");
    await screenshot(page, `compare-${colorScheme}`);
    await goTo(page, "Server");
    await page.locator(".content .note, .tiles").first().waitFor();
    await assertAccessible(page, "server");
    await screenshot(page, `server-${colorScheme}`);
    await close();
  });
}

test("a phone's width has no sideways scrolling, and its panels open and close", async () => {
  const { page, close } = await openPage(shared.browser, shared.server.page, {
    viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, reducedMotion: "reduce",
  });
  const assertFits = async (what) => {
    const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(inner <= outer, `${what}: ${inner} > ${outer}`);
  };
  await ask(page, "Who are you?");
  await assertFits("chat");
  await screenshot(page, "phone-chat");
  await page.getByRole("button", { name: "Settings" }).tap();
  await page.getByRole("combobox", { name: "Model" }).waitFor();
  await assertAccessible(page, "phone, settings");
  await screenshot(page, "phone-settings");
  await page.getByRole("button", { name: "Close the panel" }).tap({ position: { x: 10, y: 400 } });
  await page.getByRole("button", { name: "History" }).tap();
  await page.getByRole("button", { name: "New chat" }).waitFor();
  await page.getByRole("button", { name: "Close the panel" }).tap({ position: { x: 380, y: 400 } });
  for (const name of ["Inside", "Compare", "Server"]) {
    await goTo(page, name);
    await page.getByRole("heading", { level: 2 }).first().waitFor();
    await assertFits(name);
    await screenshot(page, `phone-${name.toLowerCase()}`);
  }
  await close();
});

test("everything can be done from the keyboard", async () => {
  const { page, close } = await openPage(shared.browser, shared.server.url);
  await page.locator(".composer textarea:focus").waitFor(); // from the start
  await page.keyboard.type("Who are you?");
  await page.keyboard.press("Enter");
  await page.locator(".answer[aria-busy=false]").waitFor();
  await page.getByRole("textbox", { name: "Message", exact: true }).focus();
  await page.keyboard.press("ArrowUp");
  await page.getByRole("textbox", { name: "Edit the message" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Alt+2");
  await page.getByRole("listbox", { name: "Tokens" }).focus();
  await page.keyboard.press("ArrowRight");
  await eventually(async () => assert.match(await page.locator(".token-detail").innerText(), /Experts by layer/i));
  await page.keyboard.press("Escape");
  await page.getByRole("img", { name: /Use of 16 experts in 6 layers/ }).focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  await eventually(async () => assert.match(await page.locator(".heat-note").innerText(), /^Layer 1, expert 0: \d+ of \d+ choices/));
  await page.keyboard.press("Alt+3");
  await page.getByRole("heading", { name: "Compare" }).waitFor();
  await page.keyboard.press("Alt+n");
  await page.getByRole("heading", { name: "New chat" }).waitFor();
  await page.locator("body").click({ position: { x: 700, y: 700 } });
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
  await close();
});

test("the theme is kept", async () => {
  const { page, close } = await openPage(shared.browser, shared.server.page, { colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Theme: system" }).click();
  await page.getByRole("button", { name: "Theme: light" }).click();
  const dark = await eventually(async () => {
    const shown = await ground();
    assert.notEqual(shown, light);
    return shown;
  });
  await page.reload();
  await eventually(async () => assert.equal(await ground(), dark));
  await close();
});
