// Every generation parameter that the page offers. A test compares names, ranges and defaults with
// the table of docs/api.md, which the server's own test compares with the program.
export type Kind = "number" | "integer" | "boolean" | "seed" | "strings" | "ids" | "bias";

export interface Parameter {
  name: string;
  label: string;
  group: "Sampling" | "Penalties" | "Length and stops" | "Other";
  kind: Kind;
  min?: number;
  max?: number;
  above?: boolean; // min itself is not allowed
  step?: number;
  standard?: number | boolean; // what holds when nothing is sent; absent: the note says it
  note: string;
}

export const parameters: Parameter[] = [
  { name: "temperature", label: "Temperature", group: "Sampling", kind: "number", min: 0, max: 2, step: 0.05, standard: 1, note: "0: always the most likely token" },
  { name: "top_p", label: "Top p", group: "Sampling", kind: "number", min: 0, above: true, max: 1, step: 0.01, standard: 1, note: "the most likely tokens that make up this share" },
  { name: "top_k", label: "Top k", group: "Sampling", kind: "integer", min: -1, standard: 0, note: "so many tokens stay; 0 or -1: all" },
  { name: "min_p", label: "Min p", group: "Sampling", kind: "number", min: 0, max: 1, step: 0.01, standard: 0, note: "share of the best token's probability" },
  { name: "seed", label: "Seed", group: "Sampling", kind: "seed", note: "the same seed repeats the answer; drawn if empty" },
  { name: "n", label: "Answers", group: "Sampling", kind: "integer", min: 1, max: 128, standard: 1, note: "so many at once, as branches" },
  { name: "presence_penalty", label: "Presence", group: "Penalties", kind: "number", min: -2, max: 2, step: 0.1, standard: 0, note: "once per token that was used" },
  { name: "frequency_penalty", label: "Frequency", group: "Penalties", kind: "number", min: -2, max: 2, step: 0.1, standard: 0, note: "per use of a token" },
  { name: "repetition_penalty", label: "Repetition", group: "Penalties", kind: "number", min: 0, above: true, max: 100, step: 0.05, standard: 1, note: "factor, for prompt and answer" },
  { name: "logit_bias", label: "Logit bias", group: "Penalties", kind: "bias", min: -100, max: 100, note: "one “id: bias” a line" },
  { name: "max_tokens", label: "Max tokens", group: "Length and stops", kind: "integer", min: 1, note: "what the context leaves, if empty" },
  { name: "min_tokens", label: "Min tokens", group: "Length and stops", kind: "integer", min: 0, standard: 0, note: "no end before so many" },
  { name: "stop", label: "Stop texts", group: "Length and stops", kind: "strings", max: 16, note: "one a line; \\n stands for a new line" },
  { name: "stop_token_ids", label: "Stop ids", group: "Length and stops", kind: "ids", max: 256, note: "token ids, with commas between" },
  { name: "include_stop_str_in_output", label: "Show the stop text", group: "Length and stops", kind: "boolean", standard: false, note: "" },
  { name: "ignore_eos", label: "Ignore the end of text", group: "Length and stops", kind: "boolean", standard: false, note: "" },
  { name: "truncate_prompt_tokens", label: "Cut the prompt to", group: "Other", kind: "integer", min: -1, note: "its last tokens; -1: as many as fit" },
  { name: "priority", label: "Priority", group: "Other", kind: "integer", standard: 0, note: "lower ones run first" },
  { name: "skip_special_tokens", label: "Hide special tokens", group: "Other", kind: "boolean", standard: true, note: "" },
  { name: "enable_safety_filter", label: "Safety filter", group: "Other", kind: "boolean", standard: false, note: "nothing is recorded for Inside then" },
];

// Parameters of docs/api.md that are no widget, and why.
export const handledElsewhere: Record<string, string> = {
  model: "the model menu",
  messages: "the conversation",
  prompt: "completions only",
  echo: "completions only",
  use_raw_prompt: "completions only",
  error_behavior: "another name of truncate_prompt_tokens: -1",
  max_completion_tokens: "another name of max_tokens",
  enable_safety_mode: "another name of enable_safety_filter",
  logprobs: "recorded for Inside",
  top_logprobs: "recorded for Inside",
  return_token_ids: "recorded for Inside",
  return_routed_experts: "recorded for Inside",
  prompt_logprobs: "not in a stream",
  return_tokens_as_token_ids: "the page shows texts",
  stream: "always",
  stream_options: "always, for the token counts",
  response_format: "the answer's format",
  structured_outputs: "more of the request",
  guided_json: "more of the request",
  guided_regex: "more of the request",
  guided_choice: "more of the request",
  guided_grammar: "more of the request",
  json_schema: "the answer's format",
  tools: "more of the request",
  tool_choice: "more of the request",
  parallel_tool_calls: "more of the request",
};

export type Value = number | boolean | string | string[] | number[] | Record<string, number>;
export type Values = Record<string, Value>;

export function rangeOf(p: Parameter): string {
  if (p.kind === "strings") return `up to ${p.max}`;
  if (p.kind === "ids") return `up to ${p.max} ids`;
  if (p.kind === "seed") return "64 bits";
  if (p.kind === "boolean") return "";
  const { min, max } = p;
  if (min === undefined) return "integer";
  if (max === undefined) return `${min} or more`;
  return p.above ? `above ${min}, up to ${max}` : `${min} to ${max}`;
}

function readNumber(p: Parameter, text: string): number {
  const value = Number(text);
  const inside =
    Number.isFinite(value) &&
    (p.min === undefined || (p.above ? value > p.min : value >= p.min)) &&
    (p.max === undefined || value <= p.max);
  if (!inside || (p.kind === "integer" && !Number.isInteger(value))) {
    throw new Error(`${p.label}: ${rangeOf(p)}`);
  }
  return value;
}

function readBias(p: Parameter, text: string): Record<string, number> {
  const bias: Record<string, number> = {};
  for (const line of text.split("\n").filter((line) => line.trim())) {
    const found = /^\s*(\d+)\s*:\s*(-?[\d.]+)\s*$/.exec(line);
    if (!found) throw new Error(`${p.label}: “id: bias” in each line`);
    bias[found[1]] = readNumber({ ...p, kind: "number" }, found[2]);
  }
  return bias;
}

// What a person typed as the value to send; undefined: nothing, so the default holds. Throws Error
// with the range.
export function readValue(p: Parameter, text: string): Value | undefined {
  if (!text.trim()) return undefined;
  switch (p.kind) {
    case "number":
    case "integer":
      return readNumber(p, text.trim());
    case "seed":
      if (!/^-?\d{1,20}$/.test(text.trim()) || BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
        throw new Error(`${p.label}: an integer of 64 bits`);
      }
      return text.trim();
    case "strings": {
      const lines = text.split("\n").filter((line) => line !== "");
      if (lines.length > p.max!) throw new Error(`${p.label}: ${rangeOf(p)}`);
      return lines.map((line) => line.replaceAll("\\n", "\n"));
    }
    case "ids":
      return text.split(/[\s,]+/).filter(Boolean).map((id) => readNumber({ ...p, kind: "integer", min: 0, max: undefined }, id));
    case "bias":
      return readBias(p, text);
    case "boolean":
      return text === "true";
  }
}

export function showValue(p: Parameter, value: Value | undefined): string {
  if (value === undefined) return "";
  if (p.kind === "strings") return (value as string[]).map((s) => s.replaceAll("\n", "\\n")).join("\n");
  if (p.kind === "ids") return (value as number[]).join(", ");
  if (p.kind === "bias") return Object.entries(value).map(([id, bias]) => `${id}: ${bias}`).join("\n");
  return String(value);
}
