// Numbers about which experts answered which tokens.
import { expertsOf, rowsOf, type Trace } from "./trace";

// Uses of each expert in each layer.
export interface Load {
  layers: number;
  experts: number;
  counts: number[]; // [layers, experts]
}

// DBRX has 16 experts in each layer; a larger number in the data widens the picture.
export function expertsIn(trace: Trace): number {
  let most = 15;
  for (const e of trace.experts) if (e > most) most = e;
  return most + 1;
}

export function loadOf(trace: Trace, begin = 0, end = rowsOf(trace), experts = expertsIn(trace)): Load {
  const counts = Array<number>(trace.layers * experts).fill(0);
  for (let row = begin; row < end; ++row) {
    expertsOf(trace, row).forEach((expert, i) => {
      counts[Math.floor(i / trace.topK) * experts + expert]++;
    });
  }
  return { layers: trace.layers, experts, counts };
}

// How evenly the experts of a layer are used: the entropy of their shares over its maximum. 1: all
// alike; 0: one does everything. 1 without any use.
export function evenness(counts: number[]): number {
  const total = counts.reduce((a, b) => a + b, 0);
  if (total === 0 || counts.length < 2) return 1;
  let entropy = 0;
  for (const n of counts) if (n > 0) entropy -= (n / total) * Math.log(n / total);
  return entropy / Math.log(counts.length);
}

export function layerCounts(load: Load, layer: number): number[] {
  return load.counts.slice(layer * load.experts, (layer + 1) * load.experts);
}

// Mean over the layers.
export function balance(load: Load): number {
  if (load.layers === 0) return 1;
  let sum = 0;
  for (let layer = 0; layer < load.layers; ++layer) sum += evenness(layerCounts(load, layer));
  return sum / load.layers;
}

// Balance of the `window` tokens that end at each row: one number per row.
export function balanceOverTime(trace: Trace, window: number): number[] {
  const experts = expertsIn(trace);
  const load = loadOf(trace, 0, 0, experts);
  const add = (row: number, n: number) =>
    expertsOf(trace, row).forEach((e, i) => (load.counts[Math.floor(i / trace.topK) * experts + e] += n));
  return Array.from({ length: rowsOf(trace) }, (_, row) => {
    add(row, 1);
    if (row >= window) add(row - window, -1);
    return balance(load);
  });
}

// Share of the choices of row `a` that row `b` made, too: 0 to 1.
export function overlap(trace: Trace, a: number, b: number): number {
  const first = expertsOf(trace, a);
  const second = expertsOf(trace, b);
  let common = 0;
  for (let layer = 0; layer < trace.layers; ++layer) {
    const at = layer * trace.topK;
    const chosen = second.subarray(at, at + trace.topK);
    for (let k = 0; k < trace.topK; ++k) if (chosen.includes(first[at + k])) common++;
  }
  return first.length ? common / first.length : 0;
}

// Different sets of experts that were chosen in a layer, over all layers.
export function combinations(trace: Trace): number {
  const seen = new Set<string>();
  for (let row = 0; row < rowsOf(trace); ++row) {
    const experts = expertsOf(trace, row);
    for (let layer = 0; layer < trace.layers; ++layer) {
      seen.add(`${layer}:${experts.subarray(layer * trace.topK, (layer + 1) * trace.topK).join()}`);
    }
  }
  return seen.size;
}

export function choose(n: number, k: number): number {
  let value = 1;
  for (let i = 1; i <= k; ++i) value = (value * (n - k + i)) / i;
  return Math.round(value);
}

// From a round number below all values to 1: what a chart of them shows.
export function rangeOfBalance(values: number[]): [number, number] {
  const least = values.reduce((a, b) => Math.min(a, b), 1);
  return [Math.max(0, Math.floor(least * 10 - 0.5) / 10), 1];
}
