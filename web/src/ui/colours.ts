// Colours of the style sheet for canvases, which can't read its variables.
import { signal } from "@preact/signals";

import { theme } from "./theme";

export type Rgb = [number, number, number];

// Changes when colours have to be read again.
export const colourVersion = signal(0);
theme.subscribe(() => colourVersion.value++);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colourVersion.value++);

export function colour(name: string): Rgb {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const numbers = getComputedStyle(probe).color.match(/[\d.]+/g)!.map(Number);
  probe.remove();
  return [numbers[0], numbers[1], numbers[2]];
}

export function css([r, g, b]: Rgb, alpha = 1): string {
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}

export function mix(a: Rgb, b: Rgb, share: number): Rgb {
  return [0, 1, 2].map((i) => Math.round(a[i] + (b[i] - a[i]) * share)) as Rgb;
}
