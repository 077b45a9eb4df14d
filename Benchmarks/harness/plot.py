# SPDX-License-Identifier: Apache-2.0
"""A small SVG writer: one panel per sweep, tokens per second and memory over a logarithmic axis."""
import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 260, 58, 62, 34, 40
RATE, MEMORY, INK, FAINT = "#1d5fa8", "#c2571a", "#333333", "#d9d9d9"


def _nice(top):
    """A round number not below `top`, to end an axis with."""
    power = 10 ** math.floor(math.log10(top))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= top)


def _text(x, y, words, anchor="middle", colour=INK, size=11, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def _curve(points, colour):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _panel(sweep):
    points = sweep["points"]
    low, high = math.log2(points[0]["x"]), math.log2(points[-1]["x"])
    across = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * ((math.log2(x) - low) / (high - low) if high > low else 0.5)
    most = _nice(max(p["tokens_per_second"] for p in points))
    memory = _nice(max(p["peak_rss_bytes"] for p in points) / 1e6)
    up = lambda part: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part
    made = [_text(WIDTH / 2, 16, sweep["title"], size=13, weight="bold")]
    for quarter in range(5):
        y = up(quarter / 4)
        made.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}"/>')
        made.append(_text(LEFT - 6, y + 4, f"{most * quarter / 4:,.0f}", "end", RATE))
        made.append(_text(WIDTH - RIGHT + 6, y + 4, f"{memory * quarter / 4:,.0f}", "start", MEMORY))
    made += [_text(across(p["x"]), HEIGHT - BOTTOM + 18, f"{p['x']:,}") for p in points]
    made.append(_text(LEFT, TOP - 11, "tokens/s", "end", RATE))
    made.append(_text(WIDTH - RIGHT, TOP - 11, "MB", "start", MEMORY))
    made.append(_curve([(across(p["x"]), up(p["tokens_per_second"] / most)) for p in points], RATE))
    made.append(_curve([(across(p["x"]), up(p["peak_rss_bytes"] / 1e6 / memory)) for p in points], MEMORY))
    return "".join(made)


def panels(sweeps):
    """The whole picture: two panels a row."""
    rows = (len(sweeps) + 1) // 2
    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}" font-family="sans-serif">',
        f'<rect width="{2 * WIDTH}" height="{rows * HEIGHT}" fill="#ffffff"/>',
    ]
    for number, sweep in enumerate(sweeps.values()):
        made.append(f'<g transform="translate({WIDTH * (number % 2)},{HEIGHT * (number // 2)})">{_panel(sweep)}</g>')
    return "\n".join([*made, "</svg>", ""])
