import { signal } from "@preact/signals";

import { IconButton } from "../ui/button";
import { CodeDialog } from "./code_dialog";
import { HistoryPanel } from "./history_panel";
import { SettingsForm } from "./settings_form";
import { changeSettings, conversation, exportOne, shown } from "./state";
import { Thread } from "./thread";

// On narrow screens one side panel at a time covers the page.
const drawer = signal<"" | "history" | "settings">("");
const isCodeShown = signal(false);

const close = () => (drawer.value = "");
const toggle = (name: "history" | "settings") => (drawer.value = drawer.value === name ? "" : name);

function Header() {
  const { title } = conversation.value;
  return (
    <header class="bar">
      <IconButton icon="list" label="History" class="narrow-only" aria-expanded={drawer.value === "history"} onClick={() => toggle("history")} />
      <h2>{title || "New chat"}</h2>
      <button type="button" class="with-icon" onClick={() => (isCodeShown.value = true)}>Get code</button>
      <IconButton icon="save" label="Export this conversation" disabled={shown.value.length === 0} onClick={exportOne} />
      <IconButton icon="sliders" label="Settings" class="medium-only" aria-expanded={drawer.value === "settings"} onClick={() => toggle("settings")} />
    </header>
  );
}

export function ChatPage() {
  return (
    <div class="chat-page" data-drawer={drawer.value}>
      <aside class="panel left" aria-label="History"><HistoryPanel onOpen={close} /></aside>
      <div class="centre">
        <Header />
        <Thread />
      </div>
      <aside class="panel right" aria-label="Settings">
        <SettingsForm key={conversation.value.id} settings={conversation.value.settings} onChange={changeSettings} />
      </aside>
      {drawer.value ? <button type="button" class="scrim" aria-label="Close the panel" onClick={close} /> : null}
      {isCodeShown.value ? <CodeDialog onClose={() => (isCodeShown.value = false)} /> : null}
    </div>
  );
}
