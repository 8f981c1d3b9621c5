import { useState } from "preact/hooks";

import { formatMs, formatSpeed } from "../chat/answer_numbers";
import { SettingsForm } from "../chat/settings_form";
import { parameters } from "../model/parameters";
import { speedOf } from "../model/writer";
import { IconButton } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { Markdown } from "../ui/markdown";
import { Difference, differences } from "./difference";
import { changePaneSettings, type Pane, panes, removePane, showsDifferences, type Turn } from "./state";

const kLetters = "ABCD";

// What a pane asks for that is not the default, in a line.
function summaryOf({ settings }: Pane): string {
  const values = parameters.filter((p) => settings.values[p.name] !== undefined).map((p) => `${p.label.toLowerCase()} ${JSON.stringify(settings.values[p.name])}`);
  const format = settings.format === "text" ? [] : [settings.format === "json_object" ? "JSON" : "JSON schema"];
  return [...format, ...values, ...(settings.system.trim() ? ["system prompt"] : [])].join(" · ") || "all defaults";
}

function Speed({ turn, fastest, base }: { turn: Turn; fastest: number; base: Turn | undefined }) {
  const timing = turn.writer.timing();
  if (!timing) return null;
  const speed = speedOf(timing);
  const share = base && turn.state !== "writing" ? differences(base.writer.text, turn.writer.text).share : null;
  return (
    <footer class="pane-speed" style={{ "--share": speed === null ? 0 : speed / fastest }}>
      <span>{timing.tokens} tokens</span>
      <span>first {formatMs(timing.firstMs)}</span>
      {speed === null ? null : <strong>{formatSpeed(speed)}</strong>}
      {share === null ? null : <span class="changed">{share === 0 ? "same as A" : `${Math.round(100 * share)} % differs from A`}</span>}
    </footer>
  );
}

function TurnView({ turn, base, fastest }: { turn: Turn; base: Turn | undefined; fastest: number }) {
  void turn.writer.frame.value;
  const { text } = turn.writer;
  const isMarked = showsDifferences.value && base !== undefined && turn.state !== "writing";
  return (
    <div class="turn">
      <p class="turn-question">{turn.question}</p>
      {isMarked ? <Difference base={base.writer.text} text={text} /> : <Markdown text={text} isGrowing={turn.state === "writing"} />}
      {turn.state === "failed" ? <p class="trouble" role="alert"><Icon name="warn" /> {turn.error}</p> : null}
      {turn.state === "stopped" ? <p class="note">Stopped.</p> : null}
      <Speed turn={turn} fastest={fastest} base={base} />
    </div>
  );
}

// Speed of the fastest pane in one turn: the full length of the bars.
function fastestOf(turn: number): number {
  const speeds = panes.value.map((p) => p.turns[turn]?.writer.timing()).map((t) => (t ? (speedOf(t) ?? 0) : 0));
  return Math.max(1e-9, ...speeds);
}

export function PaneView({ pane, index, onScroll }: { pane: Pane; index: number; onScroll: (event: Event) => void }) {
  const [isOpen, setOpen] = useState(false);
  const base = index === 0 ? undefined : panes.value[0];
  const letter = kLetters[index];
  return (
    <section class="pane" aria-label={`Pane ${letter}`}>
      <header>
        <span class="letter">{letter}</span>
        <span class="pane-summary" title={summaryOf(pane)}>{summaryOf(pane)}</span>
        <IconButton icon="sliders" label={`Settings of pane ${letter}`} onClick={() => setOpen(true)} />
        <IconButton icon="close" label={`Remove pane ${letter}`} disabled={panes.value.length < 3} onClick={() => removePane(pane.id)} />
      </header>
      <div class="pane-scroller" tabIndex={0} role="log" aria-label={`Answers of pane ${letter}`} onScroll={onScroll}>
        {pane.turns.map((turn, i) => <TurnView key={i} turn={turn} base={base?.turns[i]} fastest={fastestOf(i)} />)}
      </div>
      {isOpen ? (
        <Dialog title={`Settings of pane ${letter}`} onClose={() => setOpen(false)}>
          <SettingsForm settings={pane.settings} onChange={(change) => changePaneSettings(pane.id, change)} />
        </Dialog>
      ) : null}
    </section>
  );
}
