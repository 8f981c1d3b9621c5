import { useRef } from "preact/hooks";

// `value`, but while `isBusy` a new one only every `ms`: for what is costly to show in each frame.
export function useSlow<T>(value: T, isBusy: boolean, ms: number): T {
  const kept = useRef({ value, at: -Infinity });
  const now = performance.now();
  if (!isBusy || now - kept.current.at >= ms) kept.current = { value, at: now };
  return kept.current.value;
}
