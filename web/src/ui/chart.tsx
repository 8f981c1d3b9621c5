import type uPlot from "uplot";
import { useEffect, useRef } from "preact/hooks";

import { colour, colourVersion, css } from "./colours";

export interface Line {
  label: string;
  values: (number | null)[];
  tone?: "accent" | "muted" | "text";
}

interface Props {
  label: string; // for those who can't see it
  x: number[];
  lines: Line[];
  isTime?: boolean; // x are seconds since 1970
  isWhole?: boolean; // values are counts: no lines between them
  range?: [number, number];
  format: (value: number) => string;
  height?: number;
}

const kSeconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
const kCounts = [1, 10, 100, 1e3, 1e4, 1e5].flatMap((n) => [n, 2 * n, 5 * n]);

function optionsOf(props: Props, width: number): uPlot.Options {
  const { lines, isTime = false, isWhole = false, range, format, height = 150 } = props;
  const [muted, line, accent, text] = ["--muted", "--line", "--accent", "--text"].map(colour);
  const tones = { accent, muted, text };
  const axis = { stroke: css(muted), font: "11px sans-serif", grid: { stroke: css(line), width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { x: { time: isTime }, y: { range: range ?? ((_, __, max) => [0, max > 0 ? max * 1.1 : 1]) } },
    axes: [
      { ...axis, size: 24, ...(isTime ? { values: (_: uPlot, ticks: number[]) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB")), incrs: kSeconds, space: 90 } : {}) },
      { ...axis, size: 58, values: (_, ticks) => ticks.map(format), space: 34, ...(isWhole ? { incrs: kCounts } : {}) },
    ],
    series: [
      {},
      ...lines.map(({ label, tone = "accent" }) => ({
        label, stroke: css(tones[tone]), width: 1.6, points: { show: false },
        fill: tone === "accent" ? css(accent, 0.1) : undefined,
      })),
    ],
  };
}

// Lines over numbers or time. The library comes when the first chart is shown.
export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const data = [props.x, ...props.lines.map((l) => l.values)] as uPlot.AlignedData;
  const newest = useRef(data);
  newest.current = data;

  useEffect(() => {
    let isShown = true;
    let observer: ResizeObserver | undefined;
    void Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")]).then(([{ default: UPlot }]) => {
      if (!isShown || !box.current) return;
      const made = (plot.current = new UPlot(optionsOf(props, box.current.clientWidth), newest.current, box.current));
      observer = new ResizeObserver(() => box.current && made.setSize({ width: box.current.clientWidth, height: made.height }));
      observer.observe(box.current);
    });
    return () => {
      isShown = false;
      observer?.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [colourVersion.value, props.lines.length]);
  useEffect(() => plot.current?.setData(data));

  return (
    <figure class="chart">
      <figcaption>
        {props.lines.map(({ label, values, tone = "accent" }) => {
          const last = values.at(-1);
          return (
            <span key={label} class={`tone-${tone}`}>
              {label} <strong>{last === null || last === undefined ? "–" : props.format(last)}</strong>
            </span>
          );
        })}
      </figcaption>
      <div ref={box} class="chart-box" role="img" aria-label={props.label} />
    </figure>
  );
}
