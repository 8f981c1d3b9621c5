// One line that says what happened, for some seconds.
import { signal } from "@preact/signals";

const text = signal("");
let timer: ReturnType<typeof setTimeout> | undefined;

export function toast(message: string): void {
  text.value = message;
  clearTimeout(timer);
  timer = setTimeout(() => (text.value = ""), 5000);
}

export function Toast() {
  return <div class={text.value ? "toast shown" : "toast"} role="status">{text.value}</div>;
}
