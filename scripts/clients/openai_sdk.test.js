// The server as the official Node SDK sees it. Nothing here depends on what the model says.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import OpenAI from "openai";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const binary = process.env.DBRX_BINARY ?? path.join(root, "build/release/dbrx");
const modelDir = process.env.DBRX_MODEL ?? path.join(root, "models/dbrx-nano");
const messages = [{ role: "user", content: "Say hello to the world." }];

let server;
let client;
let model;

before(async () => {
  server = spawn(binary, ["serve", "--model", modelDir, "--port", "0", "--log-level", "error"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let url;
  for await (const line of createInterface({ input: server.stdout })) {
    url = line.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0];
    if (url) break;
  }
  assert.ok(url, "the server printed no URL");
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, timeout: 60_000 });
  model = (await client.models.list()).data[0].id;
});

after(async () => {
  if (!server || server.exitCode !== null) return;
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGTERM");
  assert.equal(await ended, 0);
});

test("a chat completes", async () => {
  const answer = await client.chat.completions.create({ model, messages, max_tokens: 8 });
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.model, model);
  assert.equal(answer.choices[0].message.role, "assistant");
  assert.equal(typeof answer.choices[0].message.content, "string");
  assert.ok(["stop", "length"].includes(answer.choices[0].finish_reason));
  assert.equal(
    answer.usage.total_tokens,
    answer.usage.prompt_tokens + answer.usage.completion_tokens,
  );
  assert.ok(answer._request_id);
});

test("a streamed chat says the same as a whole one", async () => {
  const request = { model, messages, max_completion_tokens: 12, temperature: 0 };
  const whole = await client.chat.completions.create(request);
  const stream = await client.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let finish = null;
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(finish, whole.choices[0].finish_reason);
  assert.deepEqual(usage, whole.usage);
});

test("the SDK's stream helper assembles the answer", async () => {
  const request = { model, messages, max_tokens: 12, temperature: 0 };
  const whole = await client.chat.completions.create(request);
  const final = await client.chat.completions.stream(request).finalChatCompletion();
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
});

test("completions take texts and token ids", async () => {
  const request = { model, max_tokens: 6, temperature: 0 };
  const together = await client.completions.create({ ...request, prompt: ["One", "Two"] });
  const alone = await client.completions.create({ ...request, prompt: "Two" });
  assert.equal(together.choices[1].text, alone.choices[0].text);
  const ids = await client.completions.create({ ...request, prompt: [40, 41, 42] });
  assert.equal(ids.usage.prompt_tokens, 3);
});

test("the same seed gives the same choices", async () => {
  const request = { model, messages, max_tokens: 24, temperature: 2, n: 2, ignore_eos: true };
  const texts = async (seed) => {
    const answer = await client.chat.completions.create({ ...request, seed });
    return answer.choices.map((choice) => choice.message.content);
  };
  const first = await texts(7);
  assert.deepEqual(await texts(7), first);
  assert.notDeepEqual(await texts(8), first);
  assert.notEqual(first[0], first[1]);
});

test("logprobs have the SDK's form", async () => {
  const answer = await client.chat.completions.create({
    model, messages, max_tokens: 4, temperature: 0, ignore_eos: true, logprobs: true, top_logprobs: 2,
  });
  assert.equal(answer.choices[0].logprobs.content.length, 4);
  for (const token of answer.choices[0].logprobs.content) {
    assert.equal(token.top_logprobs.length, 2);
    assert.equal(token.top_logprobs[0].logprob, token.logprob);
  }
});

test("errors have the SDK's classes and name the parameter", async () => {
  await assert.rejects(client.chat.completions.create({ model, messages, temperature: "hot" }), (e) => {
    assert.ok(e instanceof OpenAI.BadRequestError);
    assert.equal(e.param, "temperature");
    assert.match(e.message, /expected a number from 0 to 2, found "hot"/);
    return true;
  });
  await assert.rejects(client.chat.completions.create({ model: "gpt-4", messages }), (e) => {
    assert.ok(e instanceof OpenAI.NotFoundError);
    assert.equal(e.code, "model_not_found");
    return true;
  });
  await assert.rejects(
    client.chat.completions.create({ model, messages, tools: [{ type: "function" }] }),
    OpenAI.BadRequestError,
  );
});

test("an aborted stream leaves the server well", async () => {
  const stream = await client.chat.completions.create({
    model, messages, max_tokens: 1000, ignore_eos: true, stream: true,
  });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;  // the SDK closes the connection
  }
  const answer = await client.completions.create({ model, prompt: "x", max_tokens: 1 });
  assert.equal(answer.choices.length, 1);
});

test("fifty clients at once get what each gets alone", async () => {
  const ask = async (i) => {
    const answer = await client.completions.create({
      model, prompt: `Number ${i}`, max_tokens: 8, seed: i,
    });
    return answer.choices[0].text;
  };
  const numbers = Array.from({ length: 50 }, (_, i) => i);
  const together = await Promise.all(numbers.map(ask));
  for (const i of [0, 13, 49]) assert.equal(await ask(i), together[i]);
});
