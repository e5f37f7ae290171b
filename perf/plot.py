"""Lines over time as SVG, one panel below the other. Standard library only."""
from html import escape

WIDTH, PANEL, LEFT, RIGHT, GAP, TOP = 900, 170, 70, 20, 40, 50
COLOURS = ["#1f6fb4", "#c8501e", "#3a8f3a", "#8a4fbf"]


def ticks(low, high, count):
    """Round numbers between two others."""
    span = high - low or 1
    step = 10 ** len(str(int(span / count))) / 10 if span >= count else span / count
    step = next((step * by for by in (1, 2, 5, 10) if span / (step * by) <= count), step)
    first = -(-low // step) * step
    return [first + number * step for number in range(int((high - first) / step) + 1)]


def panel(title, lines, events, top, end):
    """One of them: `lines` are (name, [(second, value)]), `events` (second, colour)."""
    values = [value for _, points in lines for _, value in points] or [0]
    low, high = min(values), max(values)
    pad = (high - low) * 0.1 or max(abs(high) * 0.1, 1)
    low, high = max(0, low - pad) if low >= 0 else low - pad, high + pad

    def x(second):
        return LEFT + second / (end or 1) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return top + PANEL - (value - low) / (high - low) * PANEL

    out = [f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{escape(title)}</text>',
           f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{PANEL}" '
           'fill="none" stroke="#999"/>']
    for second, colour in events:
        out.append(f'<line x1="{x(second):.1f}" x2="{x(second):.1f}" y1="{top}" '
                   f'y2="{top + PANEL}" stroke="{colour}" stroke-width="0.6"/>')
    for value in ticks(low, high, 5):
        out.append(f'<line x1="{LEFT - 4}" x2="{LEFT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
                   f'stroke="#999"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" '
                   f'text-anchor="end">{value:g}</text>')
    for second in ticks(0, end, 8):
        out.append(f'<text x="{x(second):.1f}" y="{top + PANEL + 14}" text-anchor="middle">'
                   f'{second:g} s</text>')
    for number, (name, points) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                   'stroke-width="1.2"/>')
        out.append(f'<text x="{WIDTH - RIGHT - 6}" y="{top + 14 + 14 * number}" fill="{colour}" '
                   f'text-anchor="end">{escape(name)}</text>')
    return out


def draw(title, panels, events):
    """The whole picture; `panels` are (title, lines)."""
    end = max((second for _, lines in panels for _, points in lines for second, _ in points),
              default=1)
    height = TOP + len(panels) * (PANEL + GAP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           'font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
           f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>']
    for number, (name, lines) in enumerate(panels):
        out += panel(name, lines, events, TOP + number * (PANEL + GAP), end)
    return "\n".join([*out, "</svg>\n"])
