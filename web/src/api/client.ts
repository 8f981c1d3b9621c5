// Requests to the server this page came from; no other is ever asked.
import { apiKey, askForKey } from "./key";
import { connection } from "./connection";
import { type Body, toJson } from "../model/request";

// What went wrong with a request, in words for a person.
export class ApiFailure extends Error {
  constructor(
    readonly kind: "network" | "refused" | "stopped",
    message: string,
    readonly status = 0,
    readonly param: string | null = null,
    readonly retryAfter: string | null = null,
  ) {
    super(message);
  }
}

async function failureOf(response: Response): Promise<ApiFailure> {
  const text = await response.text();
  let message = `${response.status} ${response.statusText}`;
  let param: string | null = null;
  try {
    const error = JSON.parse(text).error;
    message = error.message ?? message;
    param = error.param ?? null;
  } catch {
    // Not this server's words: the status has to do.
  }
  return new ApiFailure("refused", message, response.status, param, response.headers.get("Retry-After"));
}

async function send(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  if (apiKey.value) headers.set("Authorization", `Bearer ${apiKey.value}`);
  try {
    return await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw new ApiFailure("stopped", "stopped");
    connection.reportLost();
    throw new ApiFailure("network", "The server does not answer.");
  }
}

// The answer if its status is 2xx. Asks for a key where the server wants one, as often as it does.
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  for (;;) {
    const response = await send(path, init);
    if (response.ok) return response;
    const failure = await failureOf(response);
    if (failure.status !== 401) throw failure;
    const reason = apiKey.value ? "The server does not know this key." : "This server wants an API key.";
    if ((await askForKey(reason)) === null) throw failure;
  }
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request(path, { signal })).json() as Promise<T>;
}

export function post(path: string, body: Body, signal?: AbortSignal): Promise<Response> {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: toJson(body),
    signal,
  });
}

export async function postJson<T>(path: string, body: Body, signal?: AbortSignal): Promise<T> {
  return (await post(path, body, signal)).json() as Promise<T>;
}
