// What happened inside the model while one answer was written: its tokens, what else it might have
// said, and the experts that each token went to. Plain data, so that a browser can keep it.
import type { TokenLogprob } from "../api/types";
import { readNpy } from "./npy";

export interface Alternative {
  text: string;
  logprob: number;
}

export interface AnswerToken {
  text: string;
  logprob: number;
  others: Alternative[]; // the most likely ones, the chosen one among them
}

export interface Trace {
  prompt: string[]; // texts of the prompt's tokens; "" until they are known
  tokens: AnswerToken[];
  layers: number;
  topK: number;
  // Experts of [prompt and answer tokens, layers, topK], without the last token, which no layer saw.
  experts: Uint8Array | Uint16Array;
}

export function tokenOf(entry: TokenLogprob): AnswerToken {
  const others = (entry.top_logprobs ?? []).map((t) => ({ text: t.token, logprob: t.logprob }));
  return { text: entry.token, logprob: entry.logprob, others };
}

export function rowsOf(trace: Trace): number {
  const width = trace.layers * trace.topK;
  return width ? trace.experts.length / width : 0;
}

// The experts of row `row`: [layers, topK], a view.
export function expertsOf(trace: Trace, row: number): Uint8Array | Uint16Array {
  const width = trace.layers * trace.topK;
  return trace.experts.subarray(row * width, (row + 1) * width);
}

// Grows without copying all that it has for each token.
export class TraceBuilder {
  private nPrompt = 0;
  private texts: string[] = [];
  private prompt: string[] = [];
  private tokens: AnswerToken[] = [];
  private layers = 0;
  private topK = 0;
  private pieces: (Uint8Array | Uint16Array)[] = [];

  beginPrompt(nTokens: number): void {
    this.nPrompt = nTokens;
    this.namePrompt(this.texts);
  }

  // The texts of the prompt's tokens. Where it was cut to fit, it is its end that stayed.
  namePrompt(texts: string[]): void {
    this.texts = texts;
    const cut = texts.length - this.nPrompt;
    this.prompt = Array.from({ length: this.nPrompt }, (_, i) => texts[cut + i] ?? "");
  }

  addTokens(entries: TokenLogprob[]): void {
    for (const entry of entries) this.tokens.push(tokenOf(entry));
  }

  addExperts(base64: string): void {
    const { shape, data } = readNpy(base64);
    [, this.layers, this.topK] = shape;
    this.pieces.push(data);
  }

  // The trace so far. Pieces are joined here, and stay joined. Lists are shared with later traces.
  trace(): Trace {
    if (this.pieces.length > 1) {
      const size = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
      const wide = this.pieces.some((piece) => piece instanceof Uint16Array);
      const joined = wide ? new Uint16Array(size) : new Uint8Array(size);
      let at = 0;
      for (const piece of this.pieces) {
        joined.set(piece, at);
        at += piece.length;
      }
      this.pieces = [joined];
    }
    const { prompt, tokens, layers, topK } = this;
    return { prompt, tokens, layers, topK, experts: this.pieces[0] ?? new Uint8Array() };
  }
}
