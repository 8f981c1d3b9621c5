// A JSON value as a tree that opens and closes.
interface Props {
  name?: string;
  value: unknown;
  depth?: number;
}

function Leaf({ value }: { value: unknown }) {
  const kind = value === null ? "null" : typeof value;
  return <span class={`json-${kind}`}>{JSON.stringify(value)}</span>;
}

export function JsonTree({ name, value, depth = 0 }: Props) {
  const label = name === undefined ? null : <span class="json-name">{name}</span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div class="json-row">
        {label} <Leaf value={value} />
      </div>
    );
  }
  const entries = Object.entries(value);
  const count = Array.isArray(value) ? `${entries.length} items` : `${entries.length} fields`;
  return (
    <details class="json-node" open={depth < 3}>
      <summary>
        {label} <span class="json-count">{count}</span>
      </summary>
      {entries.map(([key, item]) => (
        <JsonTree key={key} name={key} value={item} depth={depth + 1} />
      ))}
    </details>
  );
}
