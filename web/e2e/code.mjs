// The code that the page prints is run as it is printed, and says what the page's answer said.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { ask, eventually, openPage, screenshot, set } from "./browser.mjs";
import { root } from "../../scripts/clients/server.mjs";
import { shared } from "./shared.mjs";

const run = promisify(execFile);
const python = process.env.DBRX_PYTHON ?? path.join(root, "build/venv-clients/bin/python");
// Below web/, where Node finds the openai package.
const folder = path.join(root, "web/node_modules/.printed");

const kPrograms = {
  curl: { file: "ask.sh", command: "bash", textOf: (out) => JSON.parse(out).choices[0].message.content },
  "openai · Python": { file: "ask_openai.py", command: python, textOf: (out) => out.replace(/\n$/, "") },
  "openai · Node": { file: "ask.mjs", command: "node", textOf: (out) => out.replace(/\n$/, "") },
  Databricks: { file: "ask_databricks.py", command: python, textOf: (out) => out.replace(/\n$/, "") },
};

test("each dialect's code runs as it is printed and gives the answer of the page", async () => {
  assert.ok(existsSync(python), `${python} is missing: run python/clients/run.sh first`);
  mkdirSync(folder, { recursive: true });
  const { page, close } = await openPage(shared.browser, shared.server.url);
  await set(page, "Seed", "12345678901");
  await set(page, "Top k", "20");
  await set(page, "Max tokens", "24");
  await set(page, "Stop texts", "It's \"over\"\\n");
  await page.getByRole("textbox", { name: "System prompt" }).fill("You're “helpful”.");
  await ask(page, "Who are you?");
  await ask(page, "It's $HOME, `so` \"what\"?");
  const writer = page.locator(".message.assistant").last().locator(".answer");
  const shown = (await writer.innerText()).replace(/\n*Cut off: .*$/s, "");
  await page.getByRole("button", { name: "Get code" }).click();
  const texts = {};
  const pre = page.getByRole("dialog").locator("pre");
  let before = "";
  for (const [label, { file, command, textOf }] of Object.entries(kPrograms)) {
    await page.getByRole("dialog").getByRole("button", { name: label }).click();
    const code = await eventually(async () => {
      const shown = await pre.evaluate((element) => element.textContent);
      assert.notEqual(shown, before); // a block keeps its colours, and with them its text, until the next ones are there
      return shown;
    });
    before = code;
    writeFileSync(path.join(folder, file), code);
    const env = { ...process.env, MLFLOW_TRACKING_URI: "", HOME: folder };
    texts[label] = textOf((await run(command, [path.join(folder, file)], { env, cwd: folder, timeout: 300_000 })).stdout);
  }
  await screenshot(page, "code");
  const squeeze = (text) => text.replace(/\s+/g, " ").trim();
  for (const [label, text] of Object.entries(texts)) {
    assert.equal(text, texts.curl, label);
    assert.equal(squeeze(text), squeeze(shown), label);
  }
  await close();
  rmSync(folder, { recursive: true });
});
