import { useRef, useState } from "preact/hooks";

import { IconButton } from "../ui/button";
import { Icon } from "../ui/icon";
import { PaneView } from "./pane_view";
import { addPane, askAll, clear, isAsking, isSynchronised, kMostPanes, panes, showsDifferences, stopAll } from "./state";

function Toggle({ label, value, onChange }: { label: string; value: boolean; onChange: (value: boolean) => void }) {
  return (
    <label class="switch">
      <input type="checkbox" role="switch" checked={value} onChange={(e) => onChange(e.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

function Header() {
  return (
    <header class="bar">
      <h2>Compare</h2>
      <Toggle label="Differences" value={showsDifferences.value} onChange={(v) => (showsDifferences.value = v)} />
      <Toggle label="Scroll together" value={isSynchronised.value} onChange={(v) => (isSynchronised.value = v)} />
      <button type="button" disabled={panes.value.length >= kMostPanes} onClick={addPane}>Add a pane</button>
      <button type="button" onClick={clear}>Clear</button>
    </header>
  );
}

function Question() {
  const [text, setText] = useState("");
  const submit = () => {
    if (!text.trim() || isAsking.value) return;
    askAll(text.trim());
    setText("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  return (
    <form class="composer" onSubmit={(e) => { e.preventDefault(); submit(); }}>
      <textarea rows={2} value={text} aria-label="Message to all panes" placeholder="Ask all panes" onInput={(e) => setText(e.currentTarget.value)} onKeyDown={onKeyDown} />
      {isAsking.value ? (
        <IconButton icon="stop" label="Stop all" class="primary" onClick={stopAll} />
      ) : (
        <button type="submit" class="icon-button primary" aria-label="Ask all panes" disabled={!text.trim()}><Icon name="send" /></button>
      )}
    </form>
  );
}

export function ComparePage() {
  const box = useRef<HTMLDivElement>(null);
  const leader = useRef<Element | null>(null);
  // Scrolls the others by the same share. Their own events follow and must not lead in turn.
  const onScroll = (event: Event) => {
    const from = event.currentTarget as HTMLElement;
    if (!box.current || !isSynchronised.value || (leader.current && leader.current !== from)) return;
    leader.current = from;
    const share = from.scrollTop / Math.max(1, from.scrollHeight - from.clientHeight);
    for (const other of box.current.querySelectorAll(".pane-scroller")) {
      if (other !== from) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
    }
    setTimeout(() => (leader.current = null), 60);
  };
  return (
    <div class="page">
      <Header />
      <div class="panes" ref={box} style={{ "--n": panes.value.length }}>
        {panes.value.map((pane, i) => <PaneView key={pane.id} pane={pane} index={i} onScroll={onScroll} />)}
      </div>
      <div class="column"><Question /></div>
    </div>
  );
}
