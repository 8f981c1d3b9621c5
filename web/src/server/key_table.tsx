import type { Stats } from "../api/stats";

const number = (n: number) => n.toLocaleString("en");

export function KeyTable({ keys }: { keys: Stats["keys"] }) {
  return (
    <section class="card">
      <header><h2>Usage by key</h2><span class="note">since the server began</span></header>
      <div class="table" tabIndex={0} role="region" aria-label="Usage by key">
        <table>
          <thead><tr><th>Key</th><th class="number">Requests</th><th class="number">Errors</th><th class="number">Prompt tokens</th><th class="number">Cached</th><th class="number">Generated</th><th>Last</th></tr></thead>
          <tbody>
            {keys.map((k) => (
              <tr key={k.key}>
                <td>{k.key ?? "without a key"}</td>
                {[k.requests, k.errors, k.prompt_tokens, k.cached_tokens, k.completion_tokens].map((n, i) => <td key={i} class="number">{number(n)}</td>)}
                <td>{new Date(k.last_at * 1000).toLocaleTimeString("en-GB")}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {keys.length === 0 ? <p class="note">No request yet.</p> : null}
      </div>
    </section>
  );
}
