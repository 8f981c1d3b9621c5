// A conversation is a tree: editing a question or asking again makes a branch, nothing is lost. The
// path shown follows, at each message, the answer that was chosen last. Values never change: each
// function returns a new conversation.
import type { ChatMessage } from "../api/types";
import { type Settings, standardSettings } from "./settings";
import type { Trace } from "./trace";

export interface Timing {
  firstMs: number; // from the request to the first token
  totalMs: number;
  promptTokens: number;
  cachedTokens: number;
  tokens: number;
}

export interface Answer {
  state: "writing" | "complete" | "stopped" | "failed";
  error: string; // of a failed one
  finish: string; // the server's finish_reason, or empty
  seed: string;
  fingerprint: string;
  json: boolean; // asked for JSON
  timing: Timing | null;
  trace: Trace | null;
}

export interface Message {
  id: string;
  parent: string | null; // null: the first of the conversation
  role: "user" | "assistant";
  text: string;
  at: number; // milliseconds since 1970
  answer: Answer | null; // of the assistant
}

export interface Conversation {
  id: string;
  title: string;
  at: number; // of its last change
  settings: Settings;
  messages: Record<string, Message>;
  chosen: Record<string, string>; // child shown, by parent's id; "" for the first
}

export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) => b.toString(36).padStart(2, "0")).join("");
}

export function newConversation(settings: Settings = standardSettings): Conversation {
  return { id: newId(), title: "", at: Date.now(), settings, messages: {}, chosen: {} };
}

const titleOf = (text: string) => text.trim().replace(/\s+/g, " ").slice(0, 60);

// Adds a message and shows it.
export function withMessage(conversation: Conversation, message: Message): Conversation {
  return {
    ...conversation,
    at: Date.now(),
    title: conversation.title || titleOf(message.text),
    messages: { ...conversation.messages, [message.id]: message },
    chosen: { ...conversation.chosen, [message.parent ?? ""]: message.id },
  };
}

// Changes a message in its place; without effect when it is not there (the conversation was cleared).
export function withChange(c: Conversation, id: string, change: Partial<Message>): Conversation {
  if (!c.messages[id]) return c;
  return { ...c, at: Date.now(), messages: { ...c.messages, [id]: { ...c.messages[id], ...change } } };
}

// All children of one parent, in the order they were made.
export function siblings(conversation: Conversation, message: Message): Message[] {
  return Object.values(conversation.messages).filter((m) => m.parent === message.parent);
}

export function choose(conversation: Conversation, message: Message): Conversation {
  return { ...conversation, chosen: { ...conversation.chosen, [message.parent ?? ""]: message.id } };
}

// The messages shown, first to last.
export function path(conversation: Conversation): Message[] {
  const shown: Message[] = [];
  for (let id = conversation.chosen[""]; id; id = conversation.chosen[id]) {
    const message = conversation.messages[id];
    if (!message || shown.length > 10_000) break;
    shown.push(message);
  }
  return shown;
}

// What the model is told to get the answer that follows `last`.
export function history(conversation: Conversation, last: string | null): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (let id = last; id !== null; ) {
    const message: Message = conversation.messages[id];
    messages.unshift({ role: message.role, content: message.text });
    id = message.parent;
  }
  return messages;
}
