// The body of a chat request. The same one is sent, and shown as code.
import type { ChatMessage } from "../api/types";
import { parameters } from "./parameters";
import type { Settings } from "./settings";

export type Body = Record<string, unknown>;

function readObject(text: string, what: string): Body {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${what}: a JSON object is expected`);
  }
  return value as Body;
}

// What a person asked for. Throws Error that names the field to correct.
export function plainBody(settings: Settings, messages: ChatMessage[], model: string): Body {
  const body: Body = { model };
  const system = settings.system.trim();
  body.messages = system ? [{ role: "system", content: system }, ...messages] : messages;
  for (const { name } of parameters) {
    if (settings.values[name] !== undefined) body[name] = settings.values[name];
  }
  if (settings.format === "json_object") body.response_format = { type: "json_object" };
  if (settings.format === "json_schema") {
    const schema = readObject(settings.schema, "Schema");
    body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  if (settings.extra.trim()) Object.assign(body, readObject(settings.extra, "More of the request"));
  return body;
}

export const kAlternatives = 8;

// The same as the page sends it: streamed, with counts and, if wanted, what happened inside.
export function streamedBody(settings: Settings, messages: ChatMessage[], model: string): Body {
  const body: Body = {
    ...plainBody(settings, messages, model),
    stream: true,
    stream_options: { include_usage: true },
  };
  if (!body.model) delete body.model; // not known yet: the server takes its own
  if (records(settings)) {
    body.logprobs = true;
    body.top_logprobs = kAlternatives;
    body.return_token_ids = true;
    body.return_routed_experts = true;
  }
  return body;
}

// The server refuses to tell of text past its safety filters.
export function records(settings: Settings): boolean {
  return settings.record && settings.values.enable_safety_filter !== true;
}

// JSON with the seed as the integer of 64 bits that it may be, which JavaScript's numbers can't hold.
export function toJson(body: Body, indent = 0): string {
  const { seed, ...rest } = body;
  const text = JSON.stringify(rest, null, indent);
  if (seed === undefined) return text;
  const gap = indent ? "\n" + " ".repeat(indent) : "";
  return `{${gap}"seed":${indent ? " " : ""}${seed},${text.slice(1)}`;
}
