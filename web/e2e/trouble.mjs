// Keys, and a server that dies and comes back.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, eventually, goTo, grows, openPage, screenshot } from "./browser.mjs";
import { kSlow, startServer } from "../../scripts/clients/server.mjs";
import { shared } from "./shared.mjs";

// On a port below those that the kernel gives away by itself: it is free when the server comes back.
async function startOnLastingPort(...flags) {
  for (let attempt = 0; ; ++attempt) {
    try {
      return await startServer(20_000 + Math.floor(10_000 * Math.random()), ...flags);
    } catch (error) {
      if (attempt === 10) throw error; // not just a port in use
    }
  }
}

test("a server that wants a key is given one, for this tab only", async () => {
  const server = await startServer(0, "--api-key", "right-key");
  const { page, close } = await openPage(shared.browser, server.url, { expected: /status of 401/ });
  const dialog = page.getByRole("dialog", { name: "API key" });
  await dialog.getByLabel("Key").fill("wrong-key");
  await page.keyboard.press("Enter");
  await dialog.getByText("The server does not know this key.").waitFor();
  await screenshot(page, "key");
  await dialog.getByLabel("Key").fill("right-key");
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  assert.ok(await ask(page, "Who are you?"));
  assert.deepEqual(await page.evaluate(() => Object.values(localStorage).filter((v) => v.includes("right-key"))), []);
  await page.reload();
  assert.ok(await ask(page, "Who are you?")); // the tab still has it
  const other = await page.context().newPage();
  await other.goto(server.url);
  await other.getByRole("dialog", { name: "API key" }).waitFor();
  await other.close();
  await page.getByRole("button", { name: "Forget the API key" }).click();
  await eventually(async () => assert.deepEqual(await page.evaluate(() => Object.values(sessionStorage)), []));
  await close();
  await server.stop();
});

test("what is asked before the models and the history have come is answered and stays", async () => {
  let listModels;
  const listed = new Promise((resolve) => (listModels = resolve));
  const prepare = async (page) => {
    await page.route("**/v1/models", async (route) => {
      await listed;
      await route.continue();
    });
    await page.addInitScript(() => {
      const opened = new Promise((resolve) => (globalThis.openHistory = resolve));
      const { get, set } = Object.getOwnPropertyDescriptor(IDBRequest.prototype, "onsuccess");
      Object.defineProperty(IDBRequest.prototype, "onsuccess", {
        get,
        set(call) {
          const late = this instanceof IDBOpenDBRequest;
          set.call(this, late ? (event) => opened.then(() => call.call(this, event)) : call);
        },
      });
    });
  };
  const { page, close } = await openPage(shared.browser, shared.server.url, { prepare });
  await page.getByRole("textbox", { name: "Message", exact: true }).fill("Who are you?");
  await page.keyboard.press("Enter");
  await page.locator(".message.user").waitFor();
  await page.evaluate(() => globalThis.openHistory());
  await page.locator(".answer[aria-busy=false]").waitFor();
  assert.equal(await page.locator(".trouble").count(), 0);
  await page.getByRole("navigation", { name: "Conversations" }).getByRole("button", { name: "Who are you?", exact: true }).waitFor();
  listModels();
  await page.getByRole("combobox", { name: "Model" }).getByRole("option").first().waitFor({ state: "attached" });
  assert.equal(await page.locator(".message.user").count(), 1);
  await close();
});

test("a server whose filters watch everything is asked without recording", async () => {
  const server = await startServer(0, "--safety", "always");
  const { page, close } = await openPage(shared.browser, server.url, { expected: /status of 400/ });
  const told = page.getByText("This server's safety filters allow no recording for Inside."); // for some seconds
  const [, answer] = await Promise.all([told.waitFor(), ask(page, "Who are you?")]);
  assert.ok(answer);
  assert.equal(await page.locator(".trouble").count(), 0);
  assert.match(await ask(page, "Write to jane.doe@example.com"), /Ended by the safety filter/);
  await close();
  await server.stop();
});

test("a server that dies in mid-answer is told of, and used again when it is back", async () => {
  const first = await startOnLastingPort(...kSlow);
  const { page, close } = await openPage(shared.browser, first.url, { expected: /ERR_|Failed to load/ });
  await page.getByRole("textbox", { name: "More of the request" }).fill('{"ignore_eos": true, "max_tokens": 1500}');
  await page.getByRole("textbox", { name: "Message", exact: true }).fill("Tell me a story.");
  await page.keyboard.press("Enter");
  await grows(page, 20);
  await first.kill();
  await page.getByText("The server went away before the answer was complete.").waitFor();
  await page.getByText("The server does not answer.", { exact: false }).first().waitFor();
  assert.ok((await page.locator(".answer .markdown").innerText()).length > 10, "what was written stays");
  await screenshot(page, "server-lost");
  await page.getByRole("textbox", { name: "Message", exact: true }).fill("Who are you?");
  await page.keyboard.press("Enter"); // nothing is sent
  assert.equal(await page.locator(".message.user").count(), 1);

  const second = await startServer(first.port);
  await page.locator(".banner").waitFor({ state: "detached" });
  await page.getByRole("textbox", { name: "More of the request" }).fill("");
  await page.locator(".message.assistant").getByRole("button", { name: "Regenerate" }).click();
  await page.locator(".message.assistant").getByLabel("Branch 2 of 2").waitFor();
  await page.locator(".answer[aria-busy=false]").waitFor();
  assert.equal(await page.getByRole("textbox", { name: "Message", exact: true }).inputValue(), "Who are you?");
  await goTo(page, "Inside");
  await page.getByRole("listbox", { name: "Tokens" }).waitFor();
  await close();
  await second.stop();
});
