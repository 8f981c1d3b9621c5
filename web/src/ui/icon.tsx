// Line icons on a grid of 20; stroke only, in the text's colour.
const kPaths = {
  chat: "M4 4.5h12a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H9l-4 3v-3H4a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1Z",
  compare: "M3.5 4h5.5v12H3.5zM11 4h5.500v12H11z",
  inside: "M3 4.500a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M3 15.500a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M14 4.500a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M14 10a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M14 15.500a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M6 4.500h8M6 15.500c4 0 4-5.5 8-5.500M6 4.500c4 0 4 11 8 11",
  server: "M3.5 4h13v5h-13zM3.5 11h13v5h-13zM6.5 6.5h.01M6.5 13.5h.01",
  send: "M10 16V4.500M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  again: "M15.5 8A6 6 0 1 0 16 11.500M15.800 4v4h-4",
  edit: "M4 16l.8-3.500L13 4.300l2.700 2.700-8.200 8.200L4 16Z",
  copy: "M7 7h9v9H7zM13 7V4H4v9h3",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  down: "M5 8l5 5 5-5",
  plus: "M10 4v12M4 10h12",
  close: "M5 5l10 10M15 5L5 15",
  code: "M7 6l-4 4 4 4M13 6l4 4-4 4",
  sliders: "M3 6h8M15 6h2M13 4v4M3 14h2M9 14h8M7 12v4",
  list: "M4 5.500h12M4 10h12M4 14.500h8",
  trash: "M4.5 6h11M8 6V4h4v2M6 6l.7 10h6.600L14 6",
  save: "M10 4v8M6.5 9l3.5 3.500L13.5 9M4 15.500h12",
  load: "M10 12.500V4M6.5 7.500L10 4l3.5 3.500M4 15.500h12",
  moon: "M15.5 12A6.5 6.5 0 0 1 8 4.5 6.5 6.5 0 1 0 15.5 12Z",
  key: "M12.5 11.500a4 4 0 1 0-3.300-1.700L4 15v2h2.500v-2H8v-1.500h1.500l1-1.700M13.5 6.500h.01",
  help: "M7.5 7.500a2.5 2.5 0 1 1 3.5 2.300c-.7.3-1 .8-1 1.700M10 14.500h.01",
  search: "M9 14A5 5 0 1 0 9 4a5 5 0 0 0 0 10ZM12.800 12.800L16.5 16.5",
  warn: "M10 3.500l7 12.500H3zM10 8v4M10 14h.01",
};

export type IconName = keyof typeof kPaths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={kPaths[name]} />
    </svg>
  );
}

// The mark: sixteen experts, of which four answer.
export function Mark({ size = 28 }: { size?: number }) {
  const lit = [2, 7, 8, 13];
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      {Array.from({ length: 16 }, (_, i) => (
        <rect class={lit.includes(i) ? "lit" : ""} x={(i % 4) * 4 + 0.5} y={(i >> 2) * 4 + 0.5} width="3" height="3" rx="0.8" />
      ))}
    </svg>
  );
}
