// Light, dark, or as the system says: kept in this browser.
import { signal } from "@preact/signals";

const kName = "dbrx-theme";
const kThemes = ["system", "light", "dark"] as const;
export type Theme = (typeof kThemes)[number];

const kept = localStorage.getItem(kName) as Theme;
export const theme = signal<Theme>(kThemes.includes(kept) ? kept : "system");

theme.subscribe((value) => {
  document.documentElement.dataset.theme = value;
  localStorage.setItem(kName, value);
});

export function nextTheme(): void {
  theme.value = kThemes[(kThemes.indexOf(theme.value) + 1) % kThemes.length];
}
