import { useMemo, useState } from "preact/hooks";

import type { Stats } from "../api/stats";
import { type Load, rangeOfBalance } from "../model/routing";
import { Chart } from "../ui/chart";
import { Facts } from "./facts";
import { HeatMap } from "./heat_map";

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

// Where the tokens of all requests went since the server began.
export function ServerInside({ looks, trouble }: { looks: Stats[]; trouble: string }) {
  const [mark, setMark] = useState<{ layer: number; expert: number } | null>(null);
  const last = looks.at(-1);
  const tokens = last?.experts?.tokens;
  const load: Load = useMemo(() => ({ layers: tokens?.length ?? 0, experts: tokens?.[0]?.length ?? 0, counts: tokens?.flat() ?? [] }), [tokens]);
  const balances = looks.map((s) => (s.experts ? mean(s.experts.balance) : 1));
  if (trouble) return <div class="empty"><h2>No numbers from this server</h2><p>{trouble}</p></div>;
  if (!last) return <div class="empty"><p>Waiting for the server’s numbers.</p></div>;
  if (!last.experts) return <div class="empty"><p>This model has no experts.</p></div>;
  return (
    <div class="inside whole">
      <section class="card">
        <header>
          <h2>Routing since the server began</h2>
          <Facts facts={[
            ["Prompt tokens", last.engine.prompt_tokens.toLocaleString("en")],
            ["Generated tokens", last.engine.generated_tokens.toLocaleString("en")],
            ["Layers × experts", `${load.layers} × ${load.experts}`],
            ["Balance", mean(last.experts.balance).toFixed(3), "Entropy of the experts' shares over that of equal ones, mean of the layers"],
          ]} />
        </header>
        <HeatMap load={load} way={null} wayKey={null} isLive mark={mark} onMark={setMark} note="Brightest: three times an equal share." />
      </section>
      <section class="card">
        <header><h2>Balance of the experts</h2><span class="note">mean of the layers; 1: all alike</span></header>
        <Chart
          label="Balance of the experts over time" isTime x={looks.map((s) => s.at)} range={rangeOfBalance(balances)} height={130} format={(v) => v.toFixed(2)}
          lines={[{ label: "balance", values: balances }]}
        />
      </section>
    </div>
  );
}
