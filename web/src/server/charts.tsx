import type { Quantiles, Stats } from "../api/stats";
import { Chart } from "../ui/chart";

const ms = (seconds: number) => (seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`);

// Between each look and the one before.
function rateOf(looks: Stats[], count: (s: Stats) => number): (number | null)[] {
  return looks.map((s, i) => {
    const before = looks[i - 1];
    const seconds = before ? s.at - before.at : 0;
    const n = before ? count(s) - count(before) : -1;
    return seconds > 0 && n >= 0 ? n / seconds : null; // less than before: the server began anew
  });
}

const quantile = (looks: Stats[], of: (s: Stats) => Quantiles, q: "p50" | "p95") =>
  looks.map((s) => (of(s).count ? of(s)[q] : null));

export function Charts({ looks }: { looks: Stats[] }) {
  const x = looks.map((s) => s.at);
  const first = (s: Stats) => s.last_minute.time_to_first_token_seconds;
  const next = (s: Stats) => s.last_minute.inter_token_seconds;
  const whole = (s: Stats) => s.last_minute.request_seconds;
  const latencies = [
    { title: "Time to the first token", of: first },
    { title: "Time between tokens", of: next },
    { title: "Whole requests", of: whole },
  ];
  return (
    <div class="charts">
      <section class="card">
        <h2>Tokens per second</h2>
        <Chart label="Tokens per second over time" isTime isWhole x={x} format={(v) => v.toFixed(0)} lines={[
          { label: "generated", values: rateOf(looks, (s) => s.engine.generated_tokens) },
          { label: "prompt", values: rateOf(looks, (s) => s.engine.prompt_tokens), tone: "muted" },
        ]} />
      </section>
      <section class="card">
        <h2>Requests</h2>
        <Chart label="Running and waiting requests over time" isTime isWhole x={x} format={(v) => v.toFixed(0)} lines={[
          { label: "running", values: looks.map((s) => s.engine.running) },
          { label: "waiting", values: looks.map((s) => s.engine.waiting), tone: "muted" },
        ]} />
      </section>
      {latencies.map(({ title, of }) => (
        <section class="card" key={title}>
          <h2>{title}</h2>
          <Chart label={`${title}, over time`} isTime x={x} format={ms} lines={[
            { label: "half below", values: quantile(looks, of, "p50") },
            { label: "95 % below", values: quantile(looks, of, "p95"), tone: "muted" },
          ]} />
        </section>
      ))}
      <section class="card">
        <h2>KV cache</h2>
        <Chart label="Use of the KV cache over time" isTime x={x} range={[0, 1]} format={(v) => `${Math.round(100 * v)} %`} lines={[
          { label: "in use", values: looks.map((s) => s.cache.usage) },
        ]} />
      </section>
    </div>
  );
}
