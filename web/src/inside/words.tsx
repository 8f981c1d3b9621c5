import { memo } from "preact/compat";
import { useRef } from "preact/hooks";

import { overlap } from "../model/routing";
import { expertsOf, rowsOf, type Trace } from "../model/trace";
import { hoveredRow, selectedCell, selectedRow, selectRow } from "./state";

const kMost = 3000; // words shown: the last ones
const kBlock = 64;

export function wordOf(trace: Trace, row: number): string {
  const { prompt, tokens } = trace;
  return row < prompt.length ? prompt[row] : (tokens[row - prompt.length]?.text ?? "");
}

const wordsIn = (trace: Trace) => trace.prompt.length + trace.tokens.length;

function usesCell(trace: Trace, row: number, { layer, expert }: { layer: number; expert: number }): boolean {
  const at = layer * trace.topK;
  return expertsOf(trace, row).subarray(at, at + trace.topK).includes(expert);
}

// How strongly a word is tinted, 0 to 1: by what it shares with the word chosen, by whether it went
// to the expert chosen, or, in the answer, by how unsure the model was.
function tintOf(trace: Trace, row: number): number {
  const cell = selectedCell.value;
  const chosen = hoveredRow.value ?? selectedRow.value;
  const isRouted = row < rowsOf(trace);
  if (cell) return isRouted && usesCell(trace, row, cell) ? 0.75 : 0;
  if (chosen !== null && chosen < rowsOf(trace)) return isRouted ? overlap(trace, chosen, row) ** 1.6 : 0;
  const token = trace.tokens[row - trace.prompt.length];
  return token ? 1 - Math.exp(token.logprob) : 0;
}

function Word({ trace, row }: { trace: Trace; row: number }) {
  const text = wordOf(trace, row);
  const isPrompt = row < trace.prompt.length;
  const shown = text === "" ? "·" : text.replaceAll("\n", "↵\n");
  return (
    <span
      role="option" aria-selected={row === selectedRow.value} aria-label={text.trim() ? undefined : "white space"} data-row={row} id={`word-${row}`}
      class={isPrompt ? "word of-prompt" : "word"} style={{ "--tint": tintOf(trace, row).toFixed(3) }}
    >
      {shown}
    </span>
  );
}

interface BlockProps {
  trace: Trace;
  begin: number;
  end: number;
  look: string; // all that changes how words look, besides their texts
}

// Words that are there stay as they are: while a text grows, only its last block is made again.
const WordBlock = memo(
  ({ trace, begin, end }: BlockProps) => (
    <span role="presentation">{Array.from({ length: end - begin }, (_, i) => <Word key={begin + i} trace={trace} row={begin + i} />)}</span>
  ),
  (a, b) => a.begin === b.begin && a.end === b.end && a.look === b.look,
);

// Whether the prompt has its texts by now, and what is chosen.
function lookOf(trace: Trace): string {
  const cell = selectedCell.value;
  const isNamed = trace.prompt.some((text) => text !== "");
  return [isNamed, hoveredRow.value, selectedRow.value, cell?.layer, cell?.expert, trace.prompt.length].join();
}

// The text in the model's own words. Pointing at one shows its way; arrow keys go from one to the next.
export function Words({ trace }: { trace: Trace }) {
  const box = useRef<HTMLDivElement>(null);
  const n = wordsIn(trace);
  const first = Math.max(0, kBlock * Math.ceil((n - kMost) / kBlock));
  const look = lookOf(trace);
  const rowOf = (event: Event) => {
    const word = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
    return word ? Number(word.dataset.row) : null;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10 };
    if (event.key === "Escape") selectRow(null);
    if (!steps[event.key]) return;
    event.preventDefault();
    const from = selectedRow.value ?? trace.prompt.length - 1;
    const to = Math.max(first, Math.min(n - 1, from + steps[event.key]));
    hoveredRow.value = null;
    selectRow(to);
    box.current!.querySelector(`[data-row="${to}"]`)?.scrollIntoView({ block: "nearest" });
  };
  return (
    <div
      ref={box} class="words" role="listbox" aria-label="Tokens" tabIndex={0} onKeyDown={onKeyDown}
      aria-activedescendant={selectedRow.value === null ? undefined : `word-${selectedRow.value}`}
      onMouseOver={(e) => (hoveredRow.value = rowOf(e))} onMouseLeave={() => (hoveredRow.value = null)}
      onClick={(e) => selectRow(rowOf(e) === selectedRow.value ? null : rowOf(e))}
    >
      {Array.from({ length: Math.ceil((n - first) / kBlock) }, (_, i) => {
        const begin = first + i * kBlock;
        return <WordBlock key={begin} trace={trace} begin={begin} end={Math.min(n, begin + kBlock)} look={look} />;
      })}
    </div>
  );
}
