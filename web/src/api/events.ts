// Server-sent events of an answer to fetch, which unlike EventSource can send a key.
import { createParser } from "eventsource-parser";

// Calls onData with the data of each event, until the answer ends. Throws what onData and the
// connection throw.
export async function readEvents(response: Response, onData: (data: string) => void): Promise<void> {
  const parser = createParser({ onEvent: (event) => onData(event.data) });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      parser.feed(value);
    }
  } finally {
    reader.cancel().catch(() => undefined); // nobody waits for the rest
  }
}
