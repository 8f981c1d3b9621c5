// Draws the picture of fine-grained routing: a column per layer, a row per expert, brighter where
// more tokens went; and the way of one token through all layers.
import { colour, css, mix, type Rgb } from "../ui/colours";
import type { Load } from "../model/routing";

export interface Geometry {
  width: number;
  height: number;
  left: number; // of the first column's centre
  pitch: number; // from column to column
  cellWidth: number;
  row: number; // height of a row
  top: number;
}

const kFooter = 22;
const kMargin = 30;
const kFullShare = 3; // times an equal share: the brightest colour
const kGlowMs = 450; // until a new token's light has faded
const kFlowMs = 320; // for a way to run from the first layer to the last

// hasWays: columns leave room between them.
export function geometryOf(width: number, load: Load, hasWays: boolean): Geometry {
  const inner = width - kMargin - 6;
  const pitch = inner / Math.max(1, load.layers);
  const cellWidth = hasWays ? Math.max(4, Math.min(56, pitch * 0.56)) : pitch - Math.min(4, pitch * 0.2);
  const row = width < 560 ? 13 : 19;
  return { width, height: load.experts * row + kFooter + 4, left: kMargin + pitch / 2, pitch, cellWidth, row, top: 4 };
}

// The cell at a point; null between cells.
export function cellAt(g: Geometry, load: Load, x: number, y: number): { layer: number; expert: number } | null {
  const layer = Math.round((x - g.left) / g.pitch);
  const expert = Math.floor((y - g.top) / g.row);
  const isInside = layer >= 0 && layer < load.layers && expert >= 0 && expert < load.experts;
  return isInside && Math.abs(x - g.left - layer * g.pitch) <= g.cellWidth / 2 + 2 ? { layer, expert } : null;
}

export class HeatPainter {
  private load: Load = { layers: 0, experts: 0, counts: [] };
  private way: number[][] = []; // experts of each layer, of the token shown
  private mark: { layer: number; expert: number } | null = null;
  private glow: number[] = []; // when each cell was last lit; [layers, experts]
  private wayAt = 0;
  private frame = 0;
  private ground: Rgb = [0, 0, 0];
  private accent: Rgb = [0, 0, 0];
  private text: Rgb = [0, 0, 0];
  private muted: Rgb = [0, 0, 0];
  private isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  geometry: Geometry;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly hasWays: boolean,
  ) {
    this.geometry = geometryOf(0, this.load, hasWays);
    this.readColours();
  }

  readColours(): void {
    [this.ground, this.accent, this.text, this.muted] = ["--sunken", "--accent", "--text", "--muted"].map(colour);
    this.plan();
  }

  resize(): void {
    const width = this.canvas.parentElement!.clientWidth;
    this.geometry = geometryOf(width, this.load, this.hasWays);
    const { height } = this.geometry;
    const ratio = devicePixelRatio;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.canvas.style.height = `${height}px`;
    this.plan();
  }

  // Cells that gained tokens since the last call light up.
  setLoad(load: Load): void {
    const isSame = load.layers === this.load.layers && load.experts === this.load.experts;
    const now = performance.now();
    if (!isSame) this.glow = Array<number>(load.counts.length).fill(-Infinity);
    if (isSame && !this.isStill) {
      load.counts.forEach((n, i) => {
        if (n > this.load.counts[i]) this.glow[i] = now;
      });
    }
    this.load = load;
    if (!isSame) this.resize();
    this.plan();
  }

  setWay(way: number[][], isAnimated: boolean): void {
    this.way = way;
    this.wayAt = isAnimated && !this.isStill ? performance.now() : -Infinity;
    this.plan();
  }

  setMark(mark: { layer: number; expert: number } | null): void {
    this.mark = mark;
    this.plan();
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = -1;
  }

  private plan(): void {
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.draw(now));
  }

  private draw(now: number): void {
    this.frame = 0;
    const context = this.canvas.getContext("2d")!;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.geometry.width, this.geometry.height);
    const isGlowing = this.drawCells(context, now);
    const flow = Math.min(1, (now - this.wayAt) / kFlowMs);
    this.drawWay(context, flow);
    this.drawLabels(context);
    if (isGlowing || flow < 1) this.plan();
  }

  private box(context: CanvasRenderingContext2D, layer: number, expert: number, grow = 0): void {
    const g = this.geometry;
    const x = g.left + layer * g.pitch - g.cellWidth / 2;
    const y = g.top + expert * g.row;
    context.beginPath();
    context.roundRect(x - grow, y + 1.5 - grow, g.cellWidth + 2 * grow, g.row - 3 + 2 * grow, Math.min(4, g.cellWidth / 3));
  }

  private drawCells(context: CanvasRenderingContext2D, now: number): boolean {
    const { layers, experts, counts } = this.load;
    const isDimmed = this.way.length > 0;
    let isGlowing = false;
    for (let layer = 0; layer < layers; ++layer) {
      let total = 0;
      for (let e = 0; e < experts; ++e) total += counts[layer * experts + e];
      for (let e = 0; e < experts; ++e) {
        const i = layer * experts + e;
        const share = total ? Math.min(1, (counts[i] * experts) / total / kFullShare) : 0;
        const light = Math.max(0, 1 - (now - this.glow[i]) / kGlowMs);
        isGlowing ||= light > 0;
        const base = mix(this.ground, this.accent, 0.05 + 0.95 * share);
        context.globalAlpha = isDimmed ? 0.5 + 0.5 * light : 1;
        context.fillStyle = css(mix(base, mix(this.accent, this.text, 0.25), 0.5 * light * light));
        this.box(context, layer, e);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    if (this.mark) {
      context.strokeStyle = css(this.text);
      context.lineWidth = 2;
      this.box(context, this.mark.layer, this.mark.expert, 2);
      context.stroke();
    }
    return isGlowing;
  }

  // Each of a layer's experts hands on to each of the next: their outputs are summed.
  private drawWay(context: CanvasRenderingContext2D, flow: number): void {
    const g = this.geometry;
    const reach = flow * this.way.length;
    const y = (expert: number) => g.top + (expert + 0.5) * g.row;
    context.lineWidth = g.pitch > 40 ? 1.6 : 1;
    for (let layer = 0; layer + 1 < Math.min(reach, this.way.length); ++layer) {
      const from = g.left + layer * g.pitch + g.cellWidth / 2;
      const to = from + g.pitch - g.cellWidth;
      const middle = (from + to) / 2;
      const gradient = context.createLinearGradient(from, 0, to, 0);
      gradient.addColorStop(0, css(this.accent, 0.75));
      gradient.addColorStop(0.5, css(this.accent, 0.22));
      gradient.addColorStop(1, css(this.accent, 0.75));
      context.strokeStyle = gradient;
      for (const a of this.way[layer]) {
        for (const b of this.way[layer + 1]) {
          context.beginPath();
          context.moveTo(from, y(a));
          context.bezierCurveTo(middle, y(a), middle, y(b), to, y(b));
          context.stroke();
        }
      }
    }
    for (let layer = 0; layer < Math.min(reach, this.way.length); ++layer) {
      for (const expert of this.way[layer]) {
        context.fillStyle = css(mix(this.accent, this.text, 0.25));
        this.box(context, layer, expert);
        context.fill();
      }
    }
  }

  private drawLabels(context: CanvasRenderingContext2D): void {
    const g = this.geometry;
    const { layers, experts } = this.load;
    context.fillStyle = css(this.muted);
    context.font = `11px ${getComputedStyle(this.canvas).fontFamily}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const step = g.row < 15 ? 5 : 1;
    for (let e = 0; e < experts; e += step) context.fillText(String(e), kMargin - 8, g.top + (e + 0.5) * g.row);
    context.textAlign = "center";
    const every = Math.ceil(26 / g.pitch);
    for (let l = 0; l < layers; l += every) {
      context.fillText(String(l), g.left + l * g.pitch, g.top + experts * g.row + 11);
    }
  }
}
