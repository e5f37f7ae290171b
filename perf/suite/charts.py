"""Charts as SVG: bars, and lines over a scale. Standard library only."""
import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 820, 420, 80, 170, 60, 60
OURS = "#c8501e"
COLOURS = ["#1f6fb4", "#3a8f3a", "#8a4fbf", "#7a7a7a", "#b08a1e", "#2aa1a1", "#a13d63"]


def colour(name, number):
    """Otus is the same in every picture."""
    return OURS if name == "otus" else COLOURS[number % len(COLOURS)]


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(str(words))}</text>'


def frame(title, note, inside):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(20, 24, title, 'font-size="15" font-weight="bold"'),
        text(20, 42, note, 'fill="#555"'), *inside, "</svg>\n"])


def short(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def bars(title, note, rows, unit):
    """`rows`: (name, value, low, high) from the best to the worst."""
    most = max((high for _, _, _, high in rows), default=1) or 1
    step = min(46, (HEIGHT - TOP - 20) / max(1, len(rows)))
    out, wide = [], WIDTH - 150 - 190

    def x(value):
        return 150 + value / most * wide

    for number, (name, value, low, high) in enumerate(rows):
        y = TOP + number * step
        out += [
            text(140, y + step * 0.5, name, 'text-anchor="end"'),
            f'<rect x="150" y="{y:.1f}" width="{max(1, x(value) - 150):.1f}" '
            f'height="{step * 0.7:.1f}" fill="{colour(name, number)}"/>',
            f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y + step * 0.35:.1f}" '
            f'y2="{y + step * 0.35:.1f}" stroke="black"/>',
            text(x(high) + 8, y + step * 0.5, f"{short(value)} {unit}")]
    return frame(title, note, out)


class Scale:
    """From values to places; by their logarithms if asked for."""

    def __init__(self, values, begin, end, log):
        values = [value for value in values if value > 0 or not log] or [1]
        self.low, self.high = min(values), max(values)
        if log:
            self.low = 10 ** math.floor(math.log10(self.low))
            self.high = 10 ** math.ceil(math.log10(self.high))
        else:
            self.low, self.high = min(0, self.low), self.high * 1.05 or 1
        self.high = self.high if self.high > self.low else self.low * 10 or 1
        self.begin, self.end, self.log = begin, end, log

    def at(self, value):
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)

    def ticks(self):
        if self.log:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0 ** power for power in range(first, last + 1)]
        step = 10 ** math.floor(math.log10(self.high - self.low))
        step = next(by * step for by in (0.1, 0.2, 0.5, 1, 2)
                    if (self.high - self.low) / (by * step) <= 8)
        return [step * number for number in range(int(self.low / step),
                                                  int(self.high / step + 1e-9) + 1)]


def lines(title, note, series, x_label, y_label, x_log=False, y_log=True, x_ticks=None):
    """`series`: (name, [(x, y)], dashed). `x_ticks`: (value, words)."""
    right, foot = WIDTH - RIGHT, HEIGHT - FOOT
    across = Scale([x for _, points, _ in series for x, _ in points], LEFT, right, x_log)
    up = Scale([y for _, points, _ in series for _, y in points], foot, TOP, y_log)
    out = [f'<rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{foot - TOP}" '
           'fill="none" stroke="#999"/>',
           text((LEFT + right) / 2, HEIGHT - 18, x_label, 'text-anchor="middle"'),
           text(-(TOP + foot) / 2, 20, y_label, 'text-anchor="middle" transform="rotate(-90)"')]
    for value in up.ticks():
        y = up.at(value)
        out += [f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
                text(LEFT - 6, y + 4, short(value), 'text-anchor="end"')]
    for value, words in x_ticks or [(value, short(value)) for value in across.ticks()]:
        if across.low <= value <= across.high:
            x = across.at(value)
            out += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{foot}" stroke="#eee"/>',
                    text(x, foot + 16, words, 'text-anchor="middle"')]
    names = list(dict.fromkeys(name.split(",")[0] for name, _, _ in series))
    for number, (name, points, dashed) in enumerate(series):
        own = name.split(",")[0]
        paint = colour(own, names.index(own))
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)
        dash = 'stroke-dasharray="5 4"' if dashed else ""
        y = TOP + 16 + 20 * number
        out += [f'<polyline points="{path}" fill="none" stroke="{paint}" stroke-width="1.8" '
                f'{dash}/>',
                f'<line x1="{right + 10}" x2="{right + 34}" y1="{y - 4}" y2="{y - 4}" '
                f'stroke="{paint}" stroke-width="2" {dash}/>', text(right + 40, y, name)]
    return frame(title, note, out)
