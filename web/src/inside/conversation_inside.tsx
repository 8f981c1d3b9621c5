import { memo } from "preact/compat";
import { useMemo } from "preact/hooks";

import { balance, balanceOverTime, choose, combinations, expertsIn, loadOf, rangeOfBalance } from "../model/routing";
import { expertsOf, rowsOf, type Trace } from "../model/trace";
import { Chart } from "../ui/chart";
import { useSlow } from "../ui/use_slow";
import { Facts } from "./facts";
import { HeatMap } from "./heat_map";
import { hoveredRow, type Inspected, inspectedTrace, selectedCell, selectedRow, shownRow } from "./state";
import { TokenDetail } from "./token_detail";
import { Words } from "./words";

const kWindow = 32; // tokens of which the balance is shown
const kSlowMs = 250; // between two looks at what takes long, while an answer is written

function wayOf(trace: Trace, row: number | null): number[][] {
  if (row === null) return [];
  const experts = expertsOf(trace, row);
  return Array.from({ length: trace.layers }, (_, l) => [...experts.subarray(l * trace.topK, (l + 1) * trace.topK)]);
}

function Routing({ seen, row }: { seen: Inspected; row: number | null }) {
  const { trace, isWriting } = seen;
  const load = useMemo(() => loadOf(trace), [trace.experts]);
  const nExperts = expertsIn(trace);
  const isPossible = choose(nExperts, trace.topK) * trace.layers;
  const slow = useSlow(trace, isWriting, kSlowMs);
  const used = useMemo(() => combinations(slow), [slow]);
  return (
    <section class="card">
      <header>
        <h2>Routing</h2>
        <Facts
          facts={[
            ["Tokens", rowsOf(trace).toLocaleString("en")],
            ["Layers × experts", `${trace.layers} × ${nExperts}`],
            ["Experts a token", `${trace.topK} a layer`],
            ["Combinations", `${used.toLocaleString("en")} of ${isPossible.toLocaleString("en")}`, "Different sets of experts in a layer that this text used, and how many there are"],
            ["Balance", balance(load).toFixed(3), "Entropy of the experts' shares over that of equal ones, mean of the layers"],
          ]}
        />
      </header>
      <HeatMap
        load={load} way={wayOf(trace, row)} wayKey={row} isLive={isWriting} mark={selectedCell.value}
        note="Choose one to see its words."
        onMark={(cell) => {
          selectedRow.value = null;
          selectedCell.value = cell;
        }}
      />
    </section>
  );
}

const Balance = memo(({ trace }: { trace: Trace }) => {
  const values = balanceOverTime(trace, kWindow);
  return (
    <section class="card">
      <header><h2>Balance of the experts</h2><span class="note">of the last {kWindow} tokens; 1: all alike</span></header>
      <Chart
        label="Balance of the experts over the tokens" x={values.map((_, i) => i)} range={rangeOfBalance(values)} height={130} format={(v) => v.toFixed(2)}
        lines={[{ label: "balance", values }]}
      />
    </section>
  );
});

export function ConversationInside() {
  const seen = inspectedTrace();
  const slow = useSlow(seen, seen?.isWriting ?? false, kSlowMs) ?? seen;
  if (!seen || !slow) {
    return (
      <div class="empty">
        <h2>Nothing was recorded yet</h2>
        <p>Ask something in the <a href="#/chat">chat</a>, with “Record for Inside” on. Then this page shows, for each token, what the model might have said instead and which experts it went to.</p>
      </div>
    );
  }
  const row = shownRow(seen);
  const chosen = hoveredRow.value ?? selectedRow.value;
  const isTinted = chosen !== null && chosen < rowsOf(seen.trace);
  return (
    <div class="inside">
      <Routing seen={seen} row={row} />
      <section class="card words-card">
        <header>
          <h2>Words</h2>
          <span class="note">{selectedCell.value ? "marked: those that went to the expert chosen" : isTinted ? "tinted: by the experts they share with this one" : "tinted: where the model was unsure"}</span>
        </header>
        <Words key={seen.message.id} trace={slow.trace} />
      </section>
      <aside class="card detail-card" aria-label="Token">
        <TokenDetail trace={chosen === null ? slow.trace : seen.trace} row={chosen ?? shownRow(slow)} />
      </aside>
      <Balance trace={slow.trace} />
    </div>
  );
}
