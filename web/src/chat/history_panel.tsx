import { useRef, useState } from "preact/hooks";

import type { Summary } from "../model/history_store";
import { IconButton } from "../ui/button";
import { conversation, exportAll, importFile, open, remove, startNew, summaries } from "./state";

function dayOf(at: number): string {
  const days = Math.floor((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return days < 7 ? "This week" : new Date(at).toLocaleDateString(undefined, { year: "numeric", month: "long" });
}

function Entry({ summary, onOpen }: { summary: Summary; onOpen: () => void }) {
  const isOpen = summary.id === conversation.value.id;
  return (
    <li class={isOpen ? "entry open" : "entry"}>
      <button type="button" aria-current={isOpen} onClick={() => { void open(summary.id); onOpen(); }}>{summary.title || "Untitled"}</button>
      <IconButton icon="trash" label={`Delete “${summary.title}”`} onClick={() => remove(summary.id)} />
    </li>
  );
}

// The conversations that this browser keeps.
export function HistoryPanel({ onOpen }: { onOpen: () => void }) {
  const file = useRef<HTMLInputElement>(null);
  const [search, setSearch] = useState("");
  const found = summaries.value.filter((s) => s.title.toLowerCase().includes(search.toLowerCase()));
  const days = [...new Set(found.map((s) => dayOf(s.at)))];
  return (
    <div class="history">
      <header>
        <button type="button" class="primary" onClick={() => { startNew(); onOpen(); }}>New chat</button>
        <IconButton icon="load" label="Import conversations" onClick={() => file.current!.click()} />
        <IconButton icon="save" label="Export all conversations" disabled={summaries.value.length === 0} onClick={exportAll} />
        <input
          ref={file} type="file" accept="application/json,.json" class="off-screen" tabIndex={-1} aria-label="File to import"
          onChange={(e) => {
            const [chosen] = e.currentTarget.files ?? [];
            if (chosen) void importFile(chosen);
            e.currentTarget.value = "";
          }}
        />
      </header>
      <input type="search" placeholder="Search" aria-label="Search conversations" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
      <nav aria-label="Conversations">
        {days.map((day) => (
          <section key={day}>
            <h3>{day}</h3>
            <ul>
              {found.filter((s) => dayOf(s.at) === day).map((s) => <Entry key={s.id} summary={s} onOpen={onOpen} />)}
            </ul>
          </section>
        ))}
        {summaries.value.length === 0 ? <p class="note">Conversations stay in this browser.</p> : null}
      </nav>
    </div>
  );
}
