import { useEffect, useRef, useState } from "preact/hooks";

import { layerCounts, type Load } from "../model/routing";
import { colourVersion } from "../ui/colours";
import { cellAt, HeatPainter } from "./heat_painter";

type Cell = { layer: number; expert: number };

interface Props {
  load: Load;
  way: number[][] | null; // experts in each layer of the token shown, or []; null: there never is one
  wayKey: number | null; // changes when another token is shown
  isLive: boolean; // ways follow each other too quickly to run
  mark: Cell | null;
  onMark: (cell: Cell | null) => void;
  note: string; // shown while no expert is
}

function describe({ layer, expert }: Cell, load: Load): string {
  const counts = layerCounts(load, layer);
  const total = counts.reduce((a, b) => a + b, 0);
  const share = total ? (counts[expert] * load.experts) / total : 0;
  return `Layer ${layer}, expert ${expert}: ${counts[expert].toLocaleString("en")} of ${total.toLocaleString("en")} choices, ${share.toFixed(2)}× an equal share`;
}

const kArrows: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

// Arrow keys move the mark from expert to expert; Escape takes it away.
export function HeatMap({ load, way, wayKey, isLive, mark, onMark, note }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useRef<HeatPainter>();
  const [pointed, setPointed] = useState<Cell | null>(null);

  useEffect(() => {
    const made = (painter.current = new HeatPainter(canvas.current!, way !== null));
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(canvas.current!.parentElement!);
    return () => {
      observer.disconnect();
      made.stop();
    };
  }, []);
  useEffect(() => painter.current!.readColours(), [colourVersion.value]);
  useEffect(() => painter.current!.setLoad(load), [load]);
  useEffect(() => painter.current!.setWay(way ?? [], !isLive), [wayKey, way?.length]);
  useEffect(() => painter.current!.setMark(mark), [mark]);

  const cellOf = (event: MouseEvent) => cellAt(painter.current!.geometry, load, event.offsetX, event.offsetY);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") onMark(null);
    const step = kArrows[event.key];
    if (!step) return;
    event.preventDefault();
    const from = mark ?? { layer: 0, expert: -1 };
    const within = (n: number, end: number) => Math.max(0, Math.min(end - 1, n));
    onMark({ layer: within(from.layer + step[0], load.layers), expert: within(from.expert + step[1], load.experts) });
  };
  const told = pointed ?? mark;
  return (
    <div class="heat">
      <div class="heat-canvas">
        <canvas
          ref={canvas} tabIndex={0} role="img" onKeyDown={onKeyDown}
          aria-label={`Use of ${load.experts} experts in ${load.layers} layers. Arrow keys choose one.`}
          onMouseMove={(e) => setPointed(cellOf(e))} onMouseLeave={() => setPointed(null)} onClick={(e) => onMark(cellOf(e))}
        />
      </div>
      <p class="heat-note" aria-live="polite">
        {told ? describe(told, load) : `Layers from left to right, experts from top to bottom. ${note}`}
      </p>
    </div>
  );
}
