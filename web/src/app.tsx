import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { connection } from "./api/connection";
import { apiKey, setKey } from "./api/key";
import { ChatPage } from "./chat/chat_page";
import { isWriting, startNew, stop } from "./chat/state";
import { InsidePage } from "./inside/inside_page";
import { ComparePage } from "./compare/compare_page";
import { ServerPage } from "./server/server_page";
import { IconButton } from "./ui/button";
import { HelpDialog } from "./ui/help_dialog";
import { Icon, Mark } from "./ui/icon";
import { KeyDialog } from "./ui/key_dialog";
import { go, page, pages } from "./ui/route";
import { nextTheme, theme } from "./ui/theme";
import { Toast } from "./ui/toast";

const isHelpShown = signal(false);

function onKeyDown(event: KeyboardEvent): void {
  if (document.querySelector("dialog[open]")) return;
  const isTyping = (event.target as HTMLElement).matches("input, textarea, select");
  if (event.key === "Escape" && isWriting.value) stop();
  if (event.altKey && /^[1-4]$/.test(event.key)) {
    event.preventDefault();
    go(pages[Number(event.key) - 1].id);
  }
  if (event.altKey && event.key.toLowerCase() === "n") {
    event.preventDefault();
    startNew();
    go("chat");
  }
  if (event.key === "?" && !isTyping) isHelpShown.value = true;
}

function Navigation() {
  return (
    <nav class="rail" aria-label="Pages">
      <a class="brand" href="#/chat" aria-label="dbrx Playground"><Mark /></a>
      {pages.map(({ id, label, icon }) => (
        <a key={id} href={`#/${id}`} aria-current={page.value === id ? "page" : undefined}>
          <Icon name={icon} />
          <span>{label}</span>
        </a>
      ))}
      <span class="space" />
      {apiKey.value ? <IconButton icon="key" label="Forget the API key" onClick={() => setKey("")} /> : null}
      <IconButton icon="help" label="Keyboard" onClick={() => (isHelpShown.value = true)} />
      <IconButton icon="moon" label={`Theme: ${theme.value}`} onClick={nextTheme} />
    </nav>
  );
}

function Banner() {
  const state = connection.state.value;
  if (state === "ok") return null;
  return (
    <div class="banner" role="alert">
      <Icon name="warn" />
      {state === "lost"
        ? "The server does not answer. This page asks again every second; what you wrote is kept."
        : `The server is not well: ${connection.reason.value}`}
    </div>
  );
}

const kPages = { chat: ChatPage, inside: InsidePage, compare: ComparePage, server: ServerPage };

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, []);
  const Page = kPages[page.value];
  return (
    <div class="app">
      <Navigation />
      <main>
        <Banner />
        <Page />
      </main>
      <KeyDialog />
      {isHelpShown.value ? <HelpDialog onClose={() => (isHelpShown.value = false)} /> : null}
      <Toast />
    </div>
  );
}
