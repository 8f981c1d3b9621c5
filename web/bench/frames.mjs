// How smooth the page stays while 200 tokens arrive each second: frame times in the chat and inside.
// A benchmark, not a test: the numbers depend on the machine, and without a GPU on its CPU alone.
//   node bench/frames.mjs [tokens per second]
import { createServer, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { goTo, launch, openPage } from "../e2e/browser.mjs";
import { killAll, startServer } from "../../scripts/clients/server.mjs";

const rate = Number(process.argv[2] ?? 200);
const kTokens = 1800;

const server = await startServer();

// One real answer, recorded with all that the page asks for.
async function record() {
  const body = {
    messages: [{ role: "user", content: "Write Python functions." }], stream: true, stream_options: { include_usage: true },
    logprobs: true, top_logprobs: 8, return_token_ids: true, return_routed_experts: true, ignore_eos: true,
    max_tokens: kTokens, temperature: 0.8, seed: 1,
  };
  const answer = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return (await answer.text()).split("\n\n").filter((event) => event.startsWith("data: "));
}

const events = await record();

// Passes everything on but chats, which it answers with the recorded stream at the rate asked for.
async function replay(response) {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  const begin = performance.now();
  for (let i = 0; i < events.length && !response.destroyed; ++i) {
    const wait = begin + (i * 1000) / rate - performance.now();
    if (wait > 1) await sleep(wait);
    response.write(`${events[i]}\n\n`);
  }
  response.end();
}

const front = createServer((incoming, response) => {
  if (incoming.url === "/v1/chat/completions") return void replay(response);
  const { method, headers, url } = incoming;
  const onward = request(server.url + url, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  incoming.pipe(onward);
});
await new Promise((resolve) => front.listen(0, "127.0.0.1", resolve));

async function measure(page, name, ms) {
  const times = await page.evaluate((length) => new Promise((resolve) => {
    const found = [];
    const begin = performance.now();
    let last = begin;
    requestAnimationFrame(function frame(now) {
      found.push(now - last);
      last = now;
      if (now - begin < length) requestAnimationFrame(frame);
      else resolve(found.slice(1));
    });
  }), ms);
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.floor(share * (times.length - 1))].toFixed(1);
  const slow = times.filter((t) => t > 50).length;
  console.log(`${name.padEnd(8)} ${times.length} frames: half below ${at(0.5)} ms, 95 % below ${at(0.95)} ms, 99 % below ${at(0.99)} ms, longest ${at(1)} ms, above 50 ms: ${slow}`);
}

const browser = await launch();
try {
  const { page } = await openPage(browser, `http://127.0.0.1:${front.address().port}`);
  await page.getByRole("textbox", { name: "Message", exact: true }).fill("Write Python functions.");
  await page.keyboard.press("Enter");
  await page.locator(".answer[aria-busy=true] .markdown").waitFor();
  console.log(`${rate} tokens per second`);
  await measure(page, "chat", 3500);
  await goTo(page, "Inside");
  await page.locator(".heat canvas").waitFor();
  await measure(page, "inside", 3500);
} finally {
  await browser.close();
  front.closeAllConnections();
  front.close();
  killAll();
}
