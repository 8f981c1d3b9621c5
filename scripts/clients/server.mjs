// A real server on the default model, for the tests to drive and to kill.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const binary = process.env.DBRX_BINARY ?? path.join(root, "build/release/dbrx");
const model = process.env.DBRX_MODEL ?? path.join(root, "models/dbrx-nano");

// Flags of a server that computes some forty tokens a second: a long answer of it is still being written when a test has
// seen that it is.
export const kSlow = ["--isa", "scalar", "--threads", "1"];

const running = new Set();

// Also those of tests that failed.
export function killAll() {
  for (const child of running) child.kill("SIGKILL");
}

// Listens on `port` (0: any free one); further flags as `dbrx serve` has them.
export async function startServer(port = 0, ...flags) {
  const child = spawn(binary, ["serve", "--model", model, "--port", String(port), ...flags]);
  running.add(child);
  child.on("exit", () => running.delete(child));
  const log = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  let url, page; // the latter with the token of who started a server without keys
  for await (const line of createInterface({ input: child.stdout })) {
    url ??= line.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0];
    page = line.match(/^page: (.+)$/)?.[1];
    if (page) break;
  }
  assert.ok(url && page, `the server printed no URL; its log:\n${log.join("\n")}`);
  // Its exit status; null for one that was killed.
  const end = async (signal) => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, "exit");
    }
    return child.exitCode;
  };
  return { url, page, port: Number(new URL(url).port), log, stop: () => end("SIGTERM"), kill: () => end("SIGKILL") };
}
