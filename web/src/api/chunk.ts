import type { ChatChunk } from "./types";

export type Chunk = ChatChunk & { seedText?: string };

// Seeds have 64 bits and JavaScript's numbers 53: a long one is read as the text it was.
export function parseChunk(text: string): Chunk {
  const seed = /"seed":(-?\d+)/.exec(text);
  const chunk = JSON.parse(text) as Chunk;
  if (chunk.seed !== undefined && seed) chunk.seedText = seed[1];
  return chunk;
}
