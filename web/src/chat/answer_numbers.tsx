import type { Timing } from "../model/conversation";
import { speedOf } from "../model/writer";
import { changeSettings, conversation } from "./state";

export function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export function formatSpeed(tokensPerSecond: number): string {
  return `${tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0)} tok/s`;
}

// How long one answer took, and the seed that repeats it.
export function AnswerNumbers({ timing, seed }: { timing: Timing; seed: string }) {
  const speed = speedOf(timing);
  const keepSeed = () => changeSettings({ values: { ...conversation.value.settings.values, seed } });
  return (
    <span class="numbers">
      <span title={`${timing.promptTokens} tokens of prompt, ${timing.cachedTokens} of them cached`}>{timing.tokens} tokens</span>
      <span title="Time to the first token">first {formatMs(timing.firstMs)}</span>
      {speed === null ? null : <span class="speed" title="After the first token">{formatSpeed(speed)}</span>}
      {seed ? (
        <button type="button" class="seed" title="Use this seed from here on" onClick={keepSeed}>seed {seed}</button>
      ) : null}
    </span>
  );
}
