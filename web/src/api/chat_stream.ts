// One streamed chat completion, chunk by chunk.
import type { Body } from "../model/request";
import { type Chunk, parseChunk } from "./chunk";
import { ApiFailure, post } from "./client";
import { connection } from "./connection";
import { readEvents } from "./events";

// Resolves when the stream has ended by [DONE]. Throws ApiFailure: refused by the server, stopped by
// the signal, or cut off.
export async function streamChat(body: Body, signal: AbortSignal, onChunk: (chunk: Chunk) => void): Promise<void> {
  const response = await post("/v1/chat/completions", body, signal);
  let isComplete = false;
  try {
    await readEvents(response, (data) => {
      if (data === "[DONE]") {
        isComplete = true;
        return;
      }
      const chunk = parseChunk(data);
      if (chunk.error) throw new ApiFailure("refused", chunk.error.message, 200);
      onChunk(chunk);
    });
  } catch (error) {
    if (error instanceof ApiFailure) throw error;
    // Whatever else ended the reading, the answer is not complete.
  }
  if (isComplete) return;
  if (signal.aborted) throw new ApiFailure("stopped", "stopped");
  connection.reportLost();
  throw new ApiFailure("network", "The server went away before the answer was complete.");
}
