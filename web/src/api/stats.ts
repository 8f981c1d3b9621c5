// The server's numbers, once a second, while somebody looks.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { ApiFailure, request } from "./client";
import { connection } from "./connection";
import { readEvents } from "./events";

export interface Quantiles {
  count: number;
  p50: number;
  p90: number;
  p95: number;
  p99: number;
}

export interface Stats {
  at: number; // seconds since 1970
  uptime_seconds: number;
  model: string;
  version: string;
  memory_read_bytes_per_second: number | null;
  engine: { running: number; waiting: number; preemptions: number; prompt_tokens: number; generated_tokens: number };
  cache: { blocks: number; free_blocks: number; usage: number };
  last_minute: {
    prompt_tokens_per_second: number | null;
    generated_tokens_per_second: number | null;
    prefix_hit_rate: number | null;
    busy: number | null;
    roof_share: number | null;
    time_to_first_token_seconds: Quantiles;
    inter_token_seconds: Quantiles;
    request_seconds: Quantiles;
  };
  experts: { tokens: number[][]; balance: number[] } | null;
  keys: {
    key: string | null;
    requests: number;
    errors: number;
    prompt_tokens: number;
    cached_tokens: number;
    completion_tokens: number;
    last_at: number;
  }[];
}

const kKept = 300; // looks: five minutes
const kRetryMs = 2000;

// Oldest first.
export const looks = signal<Stats[]>([]);
// Why there are none; empty: there are, or they are on their way.
export const statsTrouble = signal("");

let nViewers = 0;
let controller = new AbortController();

async function watch(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const response = await request("/dbrx/v1/stats?stream=true&interval_ms=1000", { signal });
      statsTrouble.value = "";
      await readEvents(response, (data) => (looks.value = [...looks.value, JSON.parse(data) as Stats].slice(-kKept)));
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiFailure && error.kind === "refused") {
        statsTrouble.value = error.message;
        return;
      }
      connection.reportLost();
    }
    await new Promise((resolve) => setTimeout(resolve, kRetryMs));
  }
}

// One stream for all viewers; none without.
export function useStats(isWanted = true): void {
  useEffect(() => {
    if (!isWanted) return;
    if (nViewers++ === 0) void watch((controller = new AbortController()).signal);
    return () => {
      if (--nViewers === 0) controller.abort();
    };
  }, [isWanted]);
}
