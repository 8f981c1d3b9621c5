// Conversations as a file: JSON, with what happened inside the model as base64.
import { type Conversation, type Message, newId } from "./conversation";
import { base64OfBytes, bytesOfBase64 } from "./npy";
import { standardSettings } from "./settings";
import type { Trace } from "./trace";

const kFormat = "dbrx-playground-1";

interface File {
  format: typeof kFormat;
  conversations: Conversation[];
}

function packTrace(trace: Trace): unknown {
  const { buffer, byteOffset, byteLength } = trace.experts;
  const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  return { ...trace, experts: base64OfBytes(bytes), wide: trace.experts instanceof Uint16Array };
}

function unpackTrace(packed: Record<string, unknown>): Trace {
  const { wide, experts, ...rest } = packed;
  const bytes = bytesOfBase64(experts as string);
  return { ...rest, experts: wide ? new Uint16Array(bytes.buffer) : bytes } as Trace;
}

export function exportText(conversations: Conversation[]): string {
  const file: File = { format: kFormat, conversations };
  return JSON.stringify(file, (key, value) => (key === "trace" && value ? packTrace(value) : value), 1);
}

function isMessage(value: unknown, id: string): value is Message {
  const m = value as Message;
  const isKnown = m?.role === "user" || m?.role === "assistant";
  return isKnown && m.id === id && typeof m.text === "string" && (m.parent === null || typeof m.parent === "string");
}

// A path that ends: no message is its own ancestor, and every parent exists.
function isTree(conversation: Conversation): boolean {
  return Object.values(conversation.messages).every((message) => {
    const seen = new Set<string>();
    for (let m: Message | undefined = message; m.parent !== null; m = conversation.messages[m.parent]) {
      if (seen.has(m.id) || !conversation.messages[m.parent]) return false;
      seen.add(m.id);
    }
    return true;
  });
}

function readConversation(value: Conversation): Conversation {
  const { title, messages, chosen } = value ?? {};
  const isWhole =
    typeof title === "string" && typeof messages === "object" && messages !== null && typeof chosen === "object" &&
    Object.entries(messages).every(([id, message]) => isMessage(message, id)) && isTree(value);
  if (!isWhole) throw new Error("a conversation of this file is damaged");
  return {
    id: newId(),
    title,
    at: Number(value.at) || Date.now(),
    settings: { ...standardSettings, ...value.settings },
    messages,
    chosen: chosen ?? {},
  };
}

// Under new ids, so nothing that is there already is replaced. Throws Error for other files.
export function importText(text: string): Conversation[] {
  let file: File;
  try {
    file = JSON.parse(text, (key, value) => (key === "trace" && value ? unpackTrace(value) : value));
  } catch {
    throw new Error("this file is no JSON");
  }
  if (file?.format !== kFormat || !Array.isArray(file.conversations)) {
    throw new Error("this file was not exported by the Playground");
  }
  return file.conversations.map(readConversation);
}
