// What the page tells of the model's inside is what the API tells.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, eventually, goTo, grows, openPage, screenshot, set } from "./browser.mjs";
import { kSlow, startServer } from "../../scripts/clients/server.mjs";
import { shared } from "./shared.mjs";

const question = "Who are you?";

// The same request, asked directly: { prompt, tokens, experts: [rows][layers][4] }.
async function askDirectly() {
  const post = async (path, body) => {
    const response = await fetch(shared.server.url + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return response.json();
  };
  const messages = [{ role: "user", content: question }];
  const { choices } = await post("/v1/chat/completions", { messages, temperature: 0, logprobs: true, top_logprobs: 8, return_routed_experts: true });
  const prompt = (await post("/tokenize", { messages, return_token_strs: true })).token_strs;
  const bytes = Buffer.from(choices[0].routed_experts, "base64");
  const experts = bytes.subarray(10 + bytes.readUInt16LE(8));
  const rows = Array.from({ length: experts.length / 24 }, (_, row) =>
    Array.from({ length: 6 }, (_, layer) => [...experts.subarray(row * 24 + layer * 4, row * 24 + layer * 4 + 4)]));
  return { prompt, tokens: choices[0].logprobs.content, rows };
}

async function openInside() {
  const opened = await openPage(shared.browser, shared.server.url);
  await set(opened.page, "Temperature", "0");
  await ask(opened.page, question);
  await opened.page.getByRole("button", { name: "Look inside this answer" }).click();
  await opened.page.mouse.move(0, 0); // it would point at a word or an expert, where the button was
  return opened;
}

const expertLines = (page) => page.locator(".expert-list li").allInnerTexts();

test("each word has its alternatives and its experts", async () => {
  const { page, close } = await openInside();
  const direct = await askDirectly();
  const words = page.getByRole("listbox", { name: "Tokens" }).getByRole("option");
  await eventually(async () => assert.equal(await words.count(), direct.prompt.length + direct.tokens.length));
  for (const index of [0, 3]) {
    const row = direct.prompt.length + index;
    await words.nth(row).hover();
    const others = direct.tokens[index].top_logprobs.map((t) => t.token.replaceAll(" ", "␣").replaceAll("\n", "↵"));
    const percent = 100 * Math.exp(direct.tokens[index].logprob);
    await eventually(async () => {
      assert.deepEqual(await page.locator(".alternatives li code").allInnerTexts(), others);
      assert.ok(Math.abs(parseFloat(await page.locator(".token-name span").innerText()) - percent) < 0.1);
      assert.deepEqual(await expertLines(page), direct.rows[row].map((experts) => experts.join(" ")));
    });
  }
  await words.nth(1).click();
  await eventually(async () => {
    assert.match(await page.locator(".token-name").innerText(), /token 1 of the prompt/);
    assert.deepEqual(await expertLines(page), direct.rows[1].map((experts) => experts.join(" ")));
  });
  await screenshot(page, "inside-prompt-word");
  await close();
});

test("an expert's use is counted, and its words are marked", async () => {
  const { page, close } = await openInside();
  const direct = await askDirectly();
  const map = page.getByRole("img", { name: /Use of 16 experts/ });
  await map.focus();
  await page.keyboard.press("ArrowRight"); // from none to layer 1
  await page.keyboard.press("ArrowDown");
  const note = await eventually(async () => {
    const shown = await page.locator(".heat-note").innerText();
    assert.match(shown, /^Layer 1, expert 1: /);
    return shown;
  });
  const [layer, expert, n, all] = note.match(/\d+/g).map(Number);
  const rows = direct.rows.map((row) => row[layer].includes(expert));
  assert.equal(n, rows.filter(Boolean).length);
  assert.equal(all, 4 * direct.rows.length);
  await eventually(async () => {
    const tints = await page.locator(".word").evaluateAll((words) => words.map((w) => Number(w.style.getPropertyValue("--tint")) > 0));
    assert.deepEqual(tints.slice(0, rows.length), rows);
  });
  await screenshot(page, "inside-expert");
  await close();
});

test("the picture grows while an answer is written", async () => {
  const server = await startServer(0, ...kSlow);
  const { page, close } = await openPage(shared.browser, server.url);
  await page.getByRole("textbox", { name: "More of the request" }).fill('{"ignore_eos": true}');
  await page.getByRole("textbox", { name: "Message", exact: true }).fill("Tell me a story.");
  await page.keyboard.press("Enter");
  await grows(page, 0);
  await goTo(page, "Inside");
  const tokens = async () => Number((await page.locator(".facts dd").first().innerText()).replace(/\D/g, ""));
  const before = await tokens();
  await page.waitForFunction((n) => Number(document.querySelector(".facts dd").textContent.replace(/\D/g, "")) > n + 20, before);
  await screenshot(page, "inside-live");
  await page.keyboard.press("Escape");
  await close();
  await server.stop();
});
