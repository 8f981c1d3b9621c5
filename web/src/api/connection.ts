// Whether the server answers: what the banner says, and when the page asks again.
import { signal } from "@preact/signals";

export type ConnectionState = "ok" | "lost" | "unwell";

const kCalmMs = 10_000; // between two questions while all is well
const kEagerMs = 1_000; // and while it is not

class Connection {
  readonly state = signal<ConnectionState>("ok");
  // Counts the times that the server came back: pages load again what they had.
  readonly returns = signal(0);
  // Why /health is not 200, in the server's words.
  readonly reason = signal("");
  private timer: ReturnType<typeof setTimeout> | undefined;

  watch(): void {
    document.addEventListener("visibilitychange", () => this.ask());
    this.plan();
  }

  reportLost(): void {
    if (this.state.value === "lost") return;
    this.state.value = "lost";
    this.plan();
  }

  private plan(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), this.state.value === "ok" ? kCalmMs : kEagerMs);
  }

  private async ask(): Promise<void> {
    clearTimeout(this.timer);
    if (document.hidden) return; // asked again when it is seen
    const before = this.state.value;
    try {
      const response = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      this.state.value = response.ok ? "ok" : "unwell";
      this.reason.value = response.ok ? "" : ((await response.json()).message ?? response.statusText);
    } catch {
      this.state.value = "lost";
    }
    if (before !== "ok" && this.state.value === "ok") this.returns.value++;
    this.plan();
  }
}

export const connection = new Connection();
