import { memo } from "preact/compat";

import { overlap } from "../model/routing";
import { type AnswerToken, expertsOf, rowsOf, type Trace } from "../model/trace";
import { selectRow } from "./state";
import { wordOf } from "./words";

const kKin = 6;

export function visible(text: string): string {
  return text.replaceAll("\n", "↵").replaceAll(" ", "␣") || "∅";
}

function percent(logprob: number): string {
  const share = 100 * Math.exp(logprob);
  return share >= 10 ? `${share.toFixed(1)} %` : share >= 0.01 ? `${share.toFixed(2)} %` : "< 0.01 %";
}

function Alternatives({ token }: { token: AnswerToken }) {
  const isListed = token.others.some((o) => o.text === token.text && o.logprob === token.logprob);
  const all = isListed ? token.others : [...token.others, { text: token.text, logprob: token.logprob }];
  return (
    <ol class="alternatives" aria-label="What the model might have said">
      {all.map((o, i) => {
        const isChosen = o.text === token.text && o.logprob === token.logprob;
        return (
          <li key={i} class={isChosen ? "chosen" : ""} style={{ "--share": Math.exp(o.logprob) }}>
            <code>{visible(o.text)}</code>
            <span>{percent(o.logprob)}</span>
          </li>
        );
      })}
    </ol>
  );
}

// The words whose choices are most like those of `row`, different words only.
function kinOf(trace: Trace, row: number): { row: number; share: number }[] {
  const all = Array.from({ length: rowsOf(trace) }, (_, other) => ({ row: other, share: overlap(trace, row, other) }));
  const seen = new Set([wordOf(trace, row).trim()]);
  const kin: typeof all = [];
  for (const candidate of all.sort((a, b) => b.share - a.share)) {
    const word = wordOf(trace, candidate.row).trim();
    if (candidate.row === row || seen.has(word)) continue;
    seen.add(word);
    kin.push(candidate);
    if (kin.length === kKin) break;
  }
  return kin;
}

function Kin({ trace, row }: { trace: Trace; row: number }) {
  return (
    <>
      <h3>Shares most experts with</h3>
      <ul class="kin">
        {kinOf(trace, row).map((k) => (
          <li key={k.row}>
            <button type="button" onClick={() => selectRow(k.row)}>
              <code>{visible(wordOf(trace, k.row))}</code> {Math.round(100 * k.share)} %
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function ExpertTable({ trace, row }: { trace: Trace; row: number }) {
  const experts = expertsOf(trace, row);
  const layers = Array.from({ length: trace.layers }, (_, l) => [...experts.subarray(l * trace.topK, (l + 1) * trace.topK)]);
  return (
    <>
      <h3>Experts by layer</h3>
      <ol class="expert-list" start={0}>
        {layers.map((chosen, l) => <li key={l}>{chosen.join(" ")}</li>)}
      </ol>
    </>
  );
}

export const TokenDetail = memo(({ trace, row }: { trace: Trace; row: number | null }) => {
  if (row === null) {
    return <p class="note">Point at a word to see what else the model might have said, and which experts it went to. Click to keep it.</p>;
  }
  const token = trace.tokens[row - trace.prompt.length];
  const isRouted = row < rowsOf(trace);
  return (
    <div class="token-detail">
      <p class="token-name">
        <code>{visible(wordOf(trace, row))}</code>
        <span>{token ? percent(token.logprob) : `token ${row} of the prompt`}</span>
      </p>
      {token ? <Alternatives token={token} /> : null}
      {isRouted ? <><Kin trace={trace} row={row} /><ExpertTable trace={trace} row={row} /></> : <p class="note">The last token of an answer is never read, so no expert saw it.</p>}
    </div>
  );
});
