// Requests that the server remembers (GET /dbrx/v1/requests), and how one becomes a conversation.
import type { ChatMessage } from "../api/types";
import type { Values } from "./parameters";
import type { Settings } from "./settings";

export interface RecentRequest {
  id: string;
  cursor: number; // larger for those that ended later
  request_id: string;
  at: number;
  key: string | null;
  model: string | null;
  route: string;
  dialect: string;
  status: number;
  error: string | null;
  blocked: boolean;
  seconds: number;
  params: { n: number; max_tokens?: number; temperature?: number; top_p?: number; top_k?: number; seed?: number; stop?: string[] };
  usage: { prompt_tokens: number; cached_tokens: number; completion_tokens: number };
  choices: { finish_reason: string | null; answer: string | null; time_to_first_token_seconds: number | null }[];
  input: unknown; // messages, prompts, or null where texts are not kept
  is_cut: boolean;
}

// What is shown, once the newest page of the server's list is known: both, newest first. Where so many came since that
// the two don't meet, those shown before are dropped: a list with a hole would lie.
export function withNewest(shown: RecentRequest[], newest: RecentRequest[]): RecentRequest[] {
  const last = newest.at(-1);
  const meets = shown.some((r) => newest.some((n) => n.cursor === r.cursor));
  return last && meets ? [...newest, ...shown.filter((r) => r.cursor < last.cursor)] : newest;
}

// Text of a message: a string, or parts of which only texts are shown.
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (typeof part?.text === "string" ? part.text : "")).filter(Boolean).join("\n");
}

function messageOf(value: unknown): ChatMessage[] {
  if (typeof value === "string") return [{ role: "user", content: value }];
  const { role, content } = (value ?? {}) as { role?: string; content?: unknown };
  const text = textOf(content);
  if (!text || !role) return [];
  const known = role === "assistant" ? "assistant" : role === "system" || role === "developer" ? "system" : "user";
  return [{ role: known, content: text }];
}

// Its messages and the first answer; none where texts are not kept.
export function messagesOf(request: RecentRequest): ChatMessage[] {
  const input = Array.isArray(request.input) ? request.input : request.input === null ? [] : [request.input];
  const messages = input.flatMap(messageOf);
  const answer = request.choices[0]?.answer;
  return messages.length && answer ? [...messages, { role: "assistant", content: answer }] : messages;
}

export function settingsOf({ params }: RecentRequest): Partial<Settings> {
  const values: Values = {};
  for (const name of ["temperature", "top_p", "top_k", "max_tokens"] as const) {
    const value = params[name];
    if (value !== undefined) values[name] = value;
  }
  if (params.seed !== undefined) values.seed = String(params.seed);
  if (params.stop) values.stop = params.stop;
  return { values };
}
