// Debian's Chromium, and pages that fail a test by what they do behind its back: asking another
// origin, breaking the Content-Security-Policy, throwing.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

import { root } from "../../scripts/clients/server.mjs";

export const output = path.join(root, "build/web/e2e");
mkdirSync(output, { recursive: true });

// Far more than anything takes, however busy the machine.
const kPatienceMs = 120_000;

// Calls check until none of its assertions fails: a page shows what an action changed a moment later. Returns what it does.
export async function eventually(check) {
  const end = performance.now() + kPatienceMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof assert.AssertionError) || performance.now() > end) throw error;
    }
    await sleep(20);
  }
}

export function launch() {
  const executablePath = process.env.DBRX_CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

// expected: complaints of the browser's console that belong to the test. prepare: called with the page before it loads.
export async function openPage(browser, url, { expected = /^$/, prepare = async () => {}, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(kPatienceMs);
  const troubles = [];
  const foreign = [];
  await context.route((address) => !["blob:", "data:"].includes(address.protocol) && address.origin !== new URL(url).origin, (route) => {
    foreign.push(route.request().url());
    return route.abort();
  });
  page.on("pageerror", (error) => troubles.push(String(error.stack)));
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.test(message.text())) troubles.push(message.text());
  });
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  await prepare(page);
  await page.goto(url);
  await page.getByRole("textbox", { name: "Message", exact: true }).waitFor();
  const close = async () => {
    assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
    await context.close();
    assert.deepEqual(troubles, []);
    assert.deepEqual(foreign, []);
  };
  return { page, close };
}

export async function screenshot(page, name) {
  await page.screenshot({ path: path.join(output, `${name}.png`) });
}

// Until an answer that is being written has more than n characters.
export async function grows(page, n) {
  await page.waitForFunction((least) => document.querySelector(".answer[aria-busy=true] .markdown")?.innerText.length > least, n);
}

// Asks in the chat, and waits for the whole answer. Returns its text.
export async function ask(page, text) {
  const before = await page.locator(".message.assistant").count();
  await page.getByRole("textbox", { name: "Message", exact: true }).fill(text);
  await page.keyboard.press("Enter");
  const answer = page.locator(".message.assistant").nth(before);
  await answer.locator(".answer[aria-busy=false]").waitFor();
  return answer.locator(".answer").innerText();
}

// Sets one parameter of the settings beside the chat by its label.
export async function set(page, label, value) {
  const field = page.getByRole("textbox", { name: label, exact: true });
  if (!(await field.isVisible())) await openGroups(page);
  await field.fill(value);
}

export async function openGroups(page) {
  const closed = page.locator("details.group:not([open]) > summary");
  while (await closed.count()) await closed.first().click();
}

export async function goTo(page, name) {
  const pages = page.getByRole("navigation", { name: "Pages" });
  await pages.getByRole("link", { name, exact: true }).click();
  await pages.locator("[aria-current=page]", { hasText: name }).waitFor(); // the page itself is shown together with it
}
