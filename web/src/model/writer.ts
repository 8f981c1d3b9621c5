// One answer while it is written: collects the chunks of a choice and tells, at most once a frame,
// that there is something new to show.
import { signal } from "@preact/signals";

import type { Chunk } from "../api/chunk";
import type { ChatChunk } from "../api/types";
import type { Answer, Timing } from "./conversation";
import { type Trace, TraceBuilder } from "./trace";

type Choice = ChatChunk["choices"][number];

export class Writer {
  text = "";
  finish = "";
  seed = "";
  fingerprint = "";
  tokens = 0;
  promptTokens = 0;
  cachedTokens = 0;
  firstAt = 0;
  lastAt = 0;
  // Counts frames in which something changed: what shows this answer reads it.
  readonly frame = signal(0);
  private readonly builder = new TraceBuilder();
  hasTrace = false;
  private isPlanned = false;

  constructor(
    readonly id: string, // of its message
    readonly json: boolean,
    private readonly startedAt = performance.now(),
  ) {}

  add(chunk: Chunk, choice: Choice): void {
    if (chunk.prompt_token_ids) {
      this.builder.beginPrompt(chunk.prompt_token_ids.length);
      this.promptTokens = chunk.prompt_token_ids.length;
    }
    if (chunk.seedText) this.seed = chunk.seedText;
    this.fingerprint = chunk.system_fingerprint ?? this.fingerprint;
    this.text += choice.delta.content ?? "";
    for (const call of choice.delta.tool_calls ?? []) {
      if (call.function?.name) this.text += `${this.text ? "\n" : ""}${call.function.name} `;
      this.text += call.function?.arguments ?? "";
    }
    this.finish = choice.finish_reason ?? this.finish;
    if (choice.logprobs?.content) this.builder.addTokens(choice.logprobs.content);
    if (choice.routed_experts) {
      this.builder.addExperts(choice.routed_experts);
      this.hasTrace = true;
    }
    const isText = Boolean(choice.delta.content || choice.delta.tool_calls);
    const now = performance.now();
    if (choice.token_ids || isText) {
      this.tokens += choice.token_ids?.length ?? 1;
      this.firstAt ||= now;
      this.lastAt = now;
    }
    this.plan();
  }

  // The texts of the prompt's tokens, once they are known.
  namePrompt(texts: string[]): void {
    this.builder.namePrompt(texts);
    this.plan();
  }

  // The server's own count, exact where there is one choice.
  count(usage: NonNullable<ChatChunk["usage"]>, nChoices: number): void {
    if (nChoices === 1) this.tokens = usage.completion_tokens;
    this.promptTokens = usage.prompt_tokens;
    this.cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? 0;
    this.plan();
  }

  timing(): Timing | null {
    if (!this.firstAt) return null;
    return {
      firstMs: this.firstAt - this.startedAt,
      totalMs: this.lastAt - this.startedAt,
      promptTokens: this.promptTokens,
      cachedTokens: this.cachedTokens,
      tokens: this.tokens,
    };
  }

  trace(): Trace | null {
    return this.hasTrace ? this.builder.trace() : null;
  }

  answer(state: Answer["state"], error = ""): Answer {
    const { finish, seed, fingerprint, json } = this;
    return { state, error, finish, seed, fingerprint, json, timing: this.timing(), trace: this.trace() };
  }

  private plan(): void {
    if (this.isPlanned) return;
    this.isPlanned = true;
    requestAnimationFrame(() => {
      this.isPlanned = false;
      this.frame.value++;
    });
  }
}

const kLeastMs = 20;

// Tokens per second after the first one; over the whole time where all came at once, since then the
// time between them says nothing. Null for a single token.
export function speedOf({ tokens, firstMs, totalMs }: Timing): number | null {
  if (tokens < 2) return null;
  const ms = totalMs - firstMs;
  return ms >= kLeastMs ? ((tokens - 1) * 1000) / ms : (tokens * 1000) / totalMs;
}
