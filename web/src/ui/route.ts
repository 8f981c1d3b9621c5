// Which page is shown: what stands behind the # of the address.
import { signal } from "@preact/signals";

export const pages = [
  { id: "chat", label: "Chat", icon: "chat" },
  { id: "inside", label: "Inside", icon: "inside" },
  { id: "compare", label: "Compare", icon: "compare" },
  { id: "server", label: "Server", icon: "server" },
] as const;

export type Page = (typeof pages)[number]["id"];

function fromAddress(): Page {
  const name = location.hash.replace(/^#\/?/, "");
  return pages.find((page) => page.id === name)?.id ?? "chat";
}

export const page = signal<Page>(fromAddress());
addEventListener("hashchange", () => (page.value = fromAddress()));

export function go(to: Page): void {
  location.hash = `#/${to}`;
}
