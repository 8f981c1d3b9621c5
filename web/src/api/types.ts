// What of the server's answers this page reads; docs/api.md is their contract.
export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface TokenLogprob {
  token: string;
  logprob: number;
  top_logprobs?: { token: string; logprob: number }[];
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens: number };
}

export interface ToolCallDelta {
  index: number;
  function?: { name?: string; arguments?: string };
}

export interface ChatChunk {
  model?: string;
  system_fingerprint?: string | null;
  usage?: Usage | null;
  seed?: number;
  prompt_token_ids?: number[];
  error?: { message: string };
  choices: {
    index: number;
    delta: { content?: string | null; tool_calls?: ToolCallDelta[] };
    finish_reason: string | null;
    logprobs?: { content?: TokenLogprob[] } | null;
    token_ids?: number[];
    routed_experts?: string;
  }[];
}

export interface Tokens {
  count: number;
  max_model_len: number;
  tokens: number[];
  token_strs: string[] | null;
}

export interface ModelList {
  data: { id: string; max_model_len: number }[];
}
