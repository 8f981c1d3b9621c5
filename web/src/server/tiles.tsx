import type { Stats } from "../api/stats";

interface TileProps {
  name: string;
  value: string;
  note?: string;
  share?: number | null; // 0 to 1: a bar below
}

function Tile({ name, value, note, share }: TileProps) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd>
        {value}
        {note ? <small>{note}</small> : null}
        {typeof share === "number" ? <progress value={share} max={1} aria-label={name} /> : null}
      </dd>
    </div>
  );
}

const percent = (share: number | null) => (share === null ? "–" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);
const rate = (value: number | null) => (value === null ? "–" : value.toFixed(value < 100 ? 1 : 0));

function uptime(seconds: number): string {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  return days ? `${days} d ${hours} h` : hours ? `${hours} h ${minutes} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
}

export function Tiles({ stats }: { stats: Stats }) {
  const { engine, cache, last_minute: minute } = stats;
  const roof = stats.memory_read_bytes_per_second;
  return (
    <dl class="tiles">
      <Tile name="Running" value={String(engine.running)} note={`${engine.waiting} waiting`} />
      <Tile name="Generated" value={rate(minute.generated_tokens_per_second)} note="tokens/s, last minute" />
      <Tile name="Prompts" value={rate(minute.prompt_tokens_per_second)} note="tokens/s, last minute" />
      <Tile name="KV cache" value={percent(cache.usage)} note={`${cache.blocks - cache.free_blocks} of ${cache.blocks} blocks`} share={cache.usage} />
      <Tile name="Prefix hits" value={percent(minute.prefix_hit_rate)} note="of prompt tokens, last minute" share={minute.prefix_hit_rate} />
      <Tile name="Share of the roof" value={percent(minute.roof_share)} note={roof ? `of ${(roof / 1e9).toFixed(1)} GB/s, while busy` : "the memory's speed is unknown"} share={minute.roof_share} />
      <Tile name="Busy" value={percent(minute.busy)} note="of the last minute" share={minute.busy} />
      <Tile name="Up" value={uptime(stats.uptime_seconds)} note={`${stats.model}, ${stats.version}`} />
    </dl>
  );
}
