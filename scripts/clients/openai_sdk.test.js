// The server as the official Node SDK sees it. Nothing here depends on what the model says.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import OpenAI from "openai";

import { startServer } from "./server.mjs";

const messages = [{ role: "user", content: "Say hello to the world." }];

let server;
let client;
let model;

before(async () => {
  server = await startServer();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0, timeout: 300_000 });
  model = (await client.models.list()).data[0].id;
});

// Waits for something that happens on the server's side.
async function until(condition) {
  for (let i = 0; i < 2400 && !condition(); ++i) await sleep(50);
  assert.ok(condition());
}

after(async () => {
  if (server) assert.equal(await server.stop(), 0);
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

test("a response says what a chat completion does, whole and streamed", async () => {
  const chat = await client.chat.completions.create({ model, messages, max_tokens: 40, temperature: 0 });
  const request = { model, input: messages, max_output_tokens: 40, temperature: 0 };
  const whole = await client.responses.create(request);
  assert.equal(whole.output_text, chat.choices[0].message.content);
  assert.equal(whole.status, "completed");
  const stream = client.responses.stream(request);
  let text = "";
  let n_events = 0;
  for await (const event of stream) {
    assert.equal(event.sequence_number, n_events++);
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  const final = await stream.finalResponse();
  assert.equal(text, whole.output_text);
  assert.equal(final.output[0].content[0].text, whole.output_text);
  assert.deepEqual(final.usage.output_tokens, whole.usage.output_tokens);
});

test("functions of a response are called", async () => {
  const parameters = { type: "object", properties: { city: { type: "string", maxLength: 9 } }, required: ["city"] };
  const request = {
    model, input: messages, temperature: 0, tool_choice: "required", parallel_tool_calls: false,
    tools: [{ type: "function", name: "get_weather", description: "Weather of a city", parameters, strict: true }],
  };
  const whole = await client.responses.create(request);
  assert.deepEqual(whole.output.map((item) => [item.type, item.name]), [["function_call", "get_weather"]]);
  assert.equal(typeof JSON.parse(whole.output[0].arguments).city, "string");
  const final = await client.responses.stream(request).finalResponse();
  assert.equal(final.output[0].arguments, whole.output[0].arguments);
  const output = { type: "function_call_output", call_id: whole.output[0].call_id, output: "17" };
  const answer = await client.responses.create({ ...request, tool_choice: "none", input: [...messages, ...whole.output, output] });
  assert.equal(answer.output[0].type, "message");
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

test("a schema binds the answer, whole and streamed", async () => {
  const schema = {
    type: "object",
    additionalProperties: false,
    required: ["name", "age"],
    properties: {
      name: { type: "string", maxLength: 20 },
      age: { type: "integer", minimum: 0, maximum: 150 },
    },
  };
  const request = {
    model, messages, seed: 3, temperature: 1.5,
    response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
  };
  const whole = (await client.chat.completions.parse(request)).choices[0];
  assert.equal(whole.finish_reason, "stop");
  const person = JSON.parse(whole.message.content);
  assert.deepEqual(Object.keys(person).sort(), ["age", "name"]);
  assert.ok(person.name.length <= 20 && Number.isInteger(person.age) && person.age >= 0 && person.age <= 150);
  const final = await client.chat.completions.stream(request).finalChatCompletion();
  assert.equal(final.choices[0].message.content, whole.message.content);
  const bad = { type: "json_schema", json_schema: { name: "x", schema: { type: "thing" } } };
  await assert.rejects(
    client.chat.completions.create({ model, messages, stream: true, response_format: bad }),
    (e) => e instanceof OpenAI.BadRequestError && e.param === "response_format.json_schema.schema",
  );
});

test("streamed logprobs are those of the whole answer", async () => {
  const request = { model, messages, max_tokens: 6, temperature: 0, logprobs: true, top_logprobs: 2 };
  const whole = await client.chat.completions.create(request);
  const streamed = [];
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    streamed.push(...(chunk.choices[0].logprobs?.content ?? []));
  }
  assert.ok(streamed.length > 0);
  assert.deepEqual(streamed, whole.choices[0].logprobs.content);
});

test("a list of prompts has its choices in order, echoed and scored, whole and streamed", async () => {
  const prompts = ["One", "Two and", "Three"];
  const request = {
    model, prompt: prompts, n: 2, max_tokens: 4, temperature: 1, seed: 5, echo: true, logprobs: 1,
    ignore_eos: true,
  };
  const whole = await client.completions.create(request);
  assert.deepEqual(whole.choices.map((choice) => choice.index), [0, 1, 2, 3, 4, 5]);
  whole.choices.forEach((choice, i) => assert.ok(choice.text.startsWith(prompts[i >> 1])));
  const texts = Array(6).fill("");
  const logprobs = Array.from(texts, () => []);
  for await (const chunk of await client.completions.create({ ...request, stream: true })) {
    for (const choice of chunk.choices) {
      texts[choice.index] += choice.text;
      logprobs[choice.index].push(...(choice.logprobs?.token_logprobs ?? []));
    }
  }
  assert.deepEqual(texts, whole.choices.map((choice) => choice.text));
  assert.deepEqual(logprobs, whole.choices.map((choice) => choice.logprobs.token_logprobs));
  const ids = await client.completions.create({ model, prompt: [[40, 41], [42, 43, 44]], max_tokens: 1 });
  assert.equal(ids.usage.prompt_tokens, 5);
  assert.equal(ids.choices.length, 2);
});

test("a stream has usage only when asked, then in a last chunk without choices", async () => {
  const chunks = async (options) => {
    const all = [];
    const stream = await client.chat.completions.create({
      model, messages, max_tokens: 5, temperature: 0, stream: true, ...options,
    });
    for await (const chunk of stream) all.push(chunk);
    return all;
  };
  assert.ok((await chunks({})).every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  const asked = await chunks({ stream_options: { include_usage: true } });
  assert.deepEqual(asked.at(-1).choices, []);
  assert.ok(asked.at(-1).usage.completion_tokens > 0);
  assert.ok(asked.slice(0, -1).every((chunk) => chunk.choices.length === 1 && chunk.usage === null));
});

test("errors of streams, prompts and models come as errors, before any chunk", async () => {
  const rejects = (request, type, code) =>
    assert.rejects(request, (e) => {
      assert.ok(e instanceof type, e.message);
      assert.equal(e.code, code);
      assert.ok(e.requestID);
      return true;
    });
  const { BadRequestError, NotFoundError } = OpenAI;
  await rejects(client.completions.create({ model, prompt: "x", max_tokens: 1e7, stream: true }),
                BadRequestError, "context_length_exceeded");
  await rejects(client.completions.create({ model, prompt: [[1e9]], stream: true }), BadRequestError, "invalid_value");
  await rejects(client.chat.completions.create({ model, stream: true }), BadRequestError, "missing_field");
  await rejects(client.chat.completions.create({ model, messages, max_new_tokens: 4 }),
                BadRequestError, "unsupported_parameter");
  await rejects(client.responses.create({ model, input: "x", store: true }), BadRequestError, "unsupported_parameter");
  await rejects(client.responses.retrieve("resp_1"), NotFoundError, "response_not_found");
  await rejects(client.models.retrieve("none"), NotFoundError, "model_not_found");
});

test("an abort in mid-stream ends it for both sides", async () => {
  const controller = new AbortController();
  const stream = await client.chat.completions.create(
    { model, messages, n: 64, max_tokens: 1000, ignore_eos: true, stream: true },
    { signal: controller.signal, headers: { "x-request-id": "aborted-1" } },
  );
  let n_chunks = 0;
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    if (++n_chunks === 100) controller.abort();
  }
  assert.ok(n_chunks >= 100);
  await until(() => server.log.some((line) => line.includes("aborted-1") && / 499 /.test(line)));
  await assert.rejects(
    client.completions.create({ model, prompt: "x", max_tokens: 1 }, { signal: controller.signal }),
    OpenAI.APIUserAbortError,
  );
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
