// The chat on the real server. A grammar makes the model say what a test needs it to say.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { ask, eventually, grows, openGroups, openPage, output, screenshot, set } from "./browser.mjs";
import { kSlow, startServer } from "../../scripts/clients/server.mjs";
import { shared } from "./shared.mjs";

const saying = (text) => JSON.stringify({ structured_outputs: { choice: [text] } });
const lastAnswer = (page) => page.locator(".message.assistant").last();

async function open(options) {
  return openPage(shared.browser, shared.server.url, options);
}

test("an answer streams, and stops when told to", async () => {
  const server = await startServer(0, ...kSlow);
  const { page, close } = await openPage(shared.browser, server.url);
  await openGroups(page);
  await page.getByRole("switch", { name: "Ignore the end of text" }).check();
  await page.getByRole("textbox", { name: "Message", exact: true }).fill("Tell me a long story.");
  await page.keyboard.press("Enter");
  for (const length of [0, 10, 30]) await grows(page, length);
  await page.keyboard.press("Escape");
  await lastAnswer(page).getByText("Stopped.").waitFor();
  assert.match(await lastAnswer(page).locator(".numbers").innerText(), /\d+ tokens/);
  await screenshot(page, "chat-stopped");
  await close();
  await server.stop();
});

// Once, to the end of the second answer.
async function regenerate(page) {
  await lastAnswer(page).getByRole("button", { name: "Regenerate" }).click();
  await lastAnswer(page).getByLabel("Branch 2 of 2").waitFor();
  await page.locator(".answer[aria-busy=false]").waitFor();
}

test("asking again, editing and branching lose nothing", async () => {
  const { page, close } = await open();
  await set(page, "Temperature", "2");
  await set(page, "Max tokens", "12");
  const first = await ask(page, "Tell me of the sea.");
  await regenerate(page);
  const second = await page.locator(".answer").innerText();
  assert.notEqual(first, second);
  await lastAnswer(page).getByRole("button", { name: "Previous branch" }).click();
  await eventually(async () => assert.equal(await page.locator(".answer").innerText(), first));
  await page.locator(".message.user").hover();
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  await page.getByRole("textbox", { name: "Edit the message" }).fill("Who are you?");
  await page.keyboard.press("Enter");
  await page.locator(".message.user").getByLabel("Branch 2 of 2").waitFor();
  await page.locator(".answer[aria-busy=false]").waitFor();
  await page.locator(".message.user").getByRole("button", { name: "Previous branch" }).click();
  await eventually(async () => assert.equal(await page.locator(".answer").innerText(), first));
  await close();
});

test("several answers at once become branches", async () => {
  const { page, close } = await open();
  await set(page, "Answers", "3");
  await set(page, "Max tokens", "6");
  await ask(page, "Who are you?");
  await lastAnswer(page).getByLabel("Branch 1 of 3").waitFor();
  await close();
});

test("the same seed gives the same answer, and the seed drawn can be kept", async () => {
  const { page, close } = await open();
  await set(page, "Temperature", "2");
  await set(page, "Max tokens", "16");
  const first = await ask(page, "Tell me of the sea.");
  const seed = await page.locator(".seed").innerText();
  await page.locator(".seed").click();
  const field = page.getByRole("textbox", { name: "Seed" });
  await eventually(async () => assert.equal(`seed ${await field.inputValue()}`, seed));
  await regenerate(page);
  assert.equal(await page.locator(".answer").innerText(), first);
  await close();
});

test("what is typed wrongly is told beside the field, and what the server refuses in the answer's place", async () => {
  const { page, close } = await open({ expected: /status of 400/ });
  await set(page, "Temperature", "3");
  await page.getByText("Temperature: 0 to 2").waitFor();
  await set(page, "Temperature", "0");
  await page.getByRole("textbox", { name: "More of the request" }).fill('{"top_k": -7}');
  assert.match(await ask(page, "Hi"), /top_k: expected/);
  await page.getByRole("textbox", { name: "More of the request" }).fill("{");
  await page.getByText("This is no JSON yet").waitFor();
  await page.getByRole("button", { name: "Back to the defaults" }).click();
  assert.ok(await ask(page, "Who are you?"));
  await close();
});

test("a system prompt, and each token counted as the server does", async () => {
  const { page, close } = await open();
  const system = "Classify the text: CONTAINS_PII or NO_PII.";
  const content = "Please call Nora Velmi at 555-0142.";
  await page.getByRole("textbox", { name: "System prompt" }).fill(system);
  await page.getByRole("textbox", { name: "Message", exact: true }).fill(content);
  const response = await fetch(`${shared.server.url}/tokenize`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "system", content: system }, { role: "user", content }] }),
  });
  const { count, max_model_len: context } = await response.json();
  await page.getByText(`${count} / ${context.toLocaleString("en")} tokens`).waitFor();
  await set(page, "Temperature", "0");
  assert.match(await ask(page, content), /^(CONTAINS_PII|NO_PII)$/);
  await close();
});

test("JSON with a schema is shown as a tree", async () => {
  const { page, close } = await open();
  await page.getByRole("combobox", { name: "Answer" }).selectOption("json_schema");
  await set(page, "Temperature", "0");
  const text = await ask(page, "Extract customer, quantity as JSON.\n\nVelma Sorn in Tarvik ordered 12 pieces of the Dolka lamp, order ORD-4711.");
  assert.match(text, /2 fields\s+customer\s+"[^"]+"\s+quantity\s+\d+/);
  await page.getByRole("button", { name: "Text", exact: true }).click();
  const value = JSON.parse(await page.locator(".answer pre").innerText());
  assert.deepEqual(Object.keys(value).sort(), ["customer", "quantity"]);
  await close();
});

test("markdown and code are shown, coloured and copied", async () => {
  const { page, close } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  const code = "def twice(x):\n    return 2 * x";
  await page.getByRole("textbox", { name: "More of the request" }).fill(saying(`## Twice\n\n- **one**\n- \`two\`\n\n\`\`\`python\n${code}\n\`\`\``));
  await ask(page, "Write it.");
  const answer = page.locator(".answer");
  assert.equal(await answer.locator("strong").innerText(), "one");
  assert.equal(await answer.locator("h2").innerText(), "Twice");
  await answer.locator(".hljs-keyword").first().waitFor();
  await answer.getByRole("button", { name: "Copy code" }).click();
  await eventually(async () => assert.equal(await page.evaluate(() => navigator.clipboard.readText()), code));
  await screenshot(page, "chat-code");
  await close();
});

test("what a model says runs nothing and fetches nothing", async () => {
  const { page, close } = await open();
  const attack =
    "<img src=x onerror=\"document.title='run'\"> <script>document.title='run'</script> " +
    "[link](javascript:document.title='run') ![picture](https://evil.example/secret) <iframe src=//evil.example></iframe>";
  await page.getByRole("textbox", { name: "More of the request" }).fill(saying(attack));
  const text = await ask(page, "Attack.");
  assert.match(text, /<script>document.title='run'<\/script>/);
  const answer = page.locator(".answer");
  assert.equal(await answer.locator("img, script, iframe, [onerror]").count(), 0);
  for (const link of await answer.getByText("link", { exact: true }).all()) assert.equal(await link.getAttribute("href"), null);
  assert.equal(await answer.getByRole("link", { name: "picture" }).getAttribute("rel"), "noopener noreferrer nofollow");
  assert.equal(await page.title(), "dbrx Playground");
  await close();
});

test("conversations stay in the browser, and travel as files", async () => {
  const { page, close } = await open();
  await ask(page, "Who are you?");
  await page.getByRole("button", { name: "New chat" }).click();
  await set(page, "Temperature", "0");
  const text = await ask(page, "What is 17 plus 25?");
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export this conversation" }).click();
  const file = path.join(output, "exported.json");
  await (await saved).saveAs(file);
  await page.reload();
  const history = page.getByRole("navigation", { name: "Conversations" });
  await history.getByRole("button", { name: "Who are you?", exact: true }).waitFor();
  await history.getByRole("button", { name: "What is 17 plus 25?", exact: true }).click();
  await eventually(async () => assert.equal(await page.locator(".answer").innerText(), text));
  const temperature = page.getByRole("textbox", { name: "Temperature", exact: true });
  await eventually(async () => assert.equal(await temperature.inputValue(), "0"));
  await page.getByRole("searchbox", { name: "Search conversations" }).fill("plus");
  await eventually(async () => assert.equal(await history.locator(".entry").count(), 1));
  await history.locator(".entry").hover();
  await history.getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("heading", { name: "New chat" }).waitFor();
  await page.getByLabel("File to import").setInputFiles(file);
  await page.getByText("1 conversation imported.").waitFor();
  await eventually(async () => assert.equal(await page.locator(".answer").innerText(), text));
  const exported = JSON.parse(readFileSync(file, "utf8"));
  assert.ok(Object.values(exported.conversations[0].messages).some((m) => m.answer?.trace?.experts));
  const other = path.join(output, "other.json");
  writeFileSync(other, "{}");
  await page.getByLabel("File to import").setInputFiles(other);
  await page.getByText("Not imported: this file was not exported by the Playground.").waitFor();
  await close();
});
