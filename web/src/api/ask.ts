// Asks for the next turn of a conversation; the answers arrive in writers, one per choice.
import type { Body } from "../model/request";
import type { Writer } from "../model/writer";
import { streamChat } from "./chat_stream";
import { ApiFailure, postJson } from "./client";
import type { ChatMessage, Tokens } from "./types";

// Null when all are complete, else what went wrong.
export async function ask(body: Body, writers: Writer[], signal: AbortSignal): Promise<ApiFailure | null> {
  try {
    await streamChat(body, signal, (chunk) => {
      for (const choice of chunk.choices) writers[choice.index]?.add(chunk, choice);
      if (chunk.usage) for (const writer of writers) writer.count(chunk.usage, writers.length);
    });
    return null;
  } catch (error) {
    if (error instanceof ApiFailure) return error;
    throw error;
  }
}

// The prompt as the model sees it, through the chat template.
export function tokenize(messages: ChatMessage[], model: string, signal?: AbortSignal): Promise<Tokens> {
  return postJson<Tokens>("/tokenize", { ...(model ? { model } : {}), messages, return_token_strs: true }, signal);
}
