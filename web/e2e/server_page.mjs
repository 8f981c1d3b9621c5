// The server's numbers and its recent requests.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, eventually, goTo, openPage, screenshot } from "./browser.mjs";
import { shared } from "./shared.mjs";

test("numbers come each second, and a recent request opens in the chat", async () => {
  const { page, close } = await openPage(shared.browser, shared.server.page);
  const question = "What is 17 plus 25?";
  const answer = await ask(page, question);
  await page.getByRole("button", { name: "New chat" }).click();
  await goTo(page, "Server");
  const tile = (name) => page.locator(".tile", { hasText: name });
  await tile("Running").waitFor();
  assert.match(await tile("KV cache").innerText(), /\d+ of \d+ blocks/);
  const up = await tile("Up").innerText();
  await page.waitForFunction((before) => [...document.querySelectorAll(".tile")].at(-1).innerText !== before, up);
  await page.locator(".charts canvas").nth(5).waitFor();
  assert.match(await page.getByRole("region", { name: "Usage by key" }).innerText(), /without a key/);
  const requests = page.getByRole("region", { name: "Recent requests" });
  await requests.getByRole("button", { name: question }).first().waitFor();
  await page.getByRole("searchbox", { name: "Search requests" }).fill("nobody asked this");
  await page.getByText("None has that.").waitFor();
  await page.getByRole("searchbox", { name: "Search requests" }).fill("17 PLUS");
  await screenshot(page, "server");
  await requests.getByRole("button", { name: question }).first().click();
  await page.locator(".bubble", { hasText: question }).waitFor();
  await eventually(async () => assert.equal(await page.locator(".answer").innerText(), answer));
  await goTo(page, "Inside");
  await page.getByRole("button", { name: "Server", exact: true }).click();
  await page.getByRole("img", { name: /Use of 16 experts in 6 layers/ }).waitFor();
  await page.locator(".facts div", { hasText: /Generated tokens\s*[1-9]/ }).waitFor();
  await screenshot(page, "inside-server");
  await close();
});

test("who has not the address that the server printed is told to open it, and then sees recent requests", async () => {
  const { page, close } = await openPage(shared.browser, shared.server.url, { expected: /403 \(Forbidden\)/ });
  await ask(page, "Who are you?");
  await goTo(page, "Server");
  await page.getByText("open the page by the address that the server printed").waitFor();
  const requests = page.getByRole("region", { name: "Recent requests" });
  assert.equal(await requests.count(), 0);
  await page.goto(shared.server.page); // nothing but what stands behind the # is new
  await page.getByRole("button", { name: "Forget the API key" }).waitFor();
  assert.equal(page.url(), `${shared.server.url}/`);
  await goTo(page, "Server");
  await requests.getByRole("button", { name: "Who are you?" }).first().waitFor();
  await page.reload();
  await goTo(page, "Server");
  await requests.waitFor();
  await close();
});
