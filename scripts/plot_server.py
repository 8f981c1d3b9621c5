#!/usr/bin/env python3
"""Draws docs/server_load.svg from what `bench_server.py load --json FILE` measured.

    scripts/plot_server.py FILE.json docs/server_load.svg

A panel per quantity, a line per label, logarithmic axes. Standard library only.
"""

import json
import math
import pathlib
import sys

PANELS = [("tokens_per_s", "tokens per second, all clients"), ("first_ms", "first token, ms (median)"),
          ("gap_ms", "between tokens, ms (median)"), ("gap_p99_ms", "between tokens, ms (99th percentile)")]
COLORS = ["#1f6feb", "#d1570b", "#2e8540", "#8250df"]
WIDTH, HEIGHT, LEFT, TOP, GAP = 330, 220, 60, 40, 70


def ticks(low, high):
    """1, 2 and 5 times the powers of ten from the last one below `low` to the first one above `high`."""
    steps = [m * 10.0 ** e for e in range(-3, 7) for m in (1, 2, 5)]
    first = max(i for i, tick in enumerate(steps) if tick <= low)
    last = min(i for i, tick in enumerate(steps) if tick >= high)
    return steps[first: last + 1]


def text(x, y, content, anchor="middle", size=11, color="#444"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{content}</text>'


def line(x1, y1, x2, y2, color="#ddd"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def panel(report, name, title, x0, y0):
    values = [row[name] for rows in report.values() for row in rows]
    clients = sorted({row["clients"] for rows in report.values() for row in rows})
    levels = ticks(min(values), max(values))

    def x_of(n):
        return x0 + WIDTH * math.log(n / clients[0]) / math.log(clients[-1] / clients[0])

    def y_of(value):
        return y0 + HEIGHT * (1 - math.log(value / levels[0]) / math.log(levels[-1] / levels[0]))

    parts = [text(x0, y0 - 12, title, "start", 13, "#111")]
    for level in levels:
        parts += [line(x0, y_of(level), x0 + WIDTH, y_of(level)), text(x0 - 6, y_of(level) + 4, f"{level:g}", "end")]
    for n in clients:
        parts += [line(x_of(n), y0, x_of(n), y0 + HEIGHT), text(x_of(n), y0 + HEIGHT + 16, n)]
    parts.append(text(x0 + WIDTH / 2, y0 + HEIGHT + 34, "clients at once"))
    for color, rows in zip(COLORS, report.values()):
        points = [(x_of(row["clients"]), y_of(row[name])) for row in rows]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
    return parts


def draw(report):
    parts = []
    for i, (name, title) in enumerate(PANELS):
        parts += panel(report, name, title, LEFT + i % 2 * (WIDTH + LEFT + 30), TOP + 30 + i // 2 * (HEIGHT + GAP))
    for i, (color, label) in enumerate(zip(COLORS, report)):
        parts.append(text(LEFT + i * 260, 24, f"\N{BLACK CIRCLE} {label}", "start", 13, color))
    width, height = 2 * (WIDTH + LEFT) + 70, TOP + 30 + 2 * (HEIGHT + GAP)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(draw(json.loads(pathlib.Path(sys.argv[1]).read_text())))
