"""Drawings for pages: axes, lines, bands and dots as inline SVG that needs neither script nor font.

A drawing is measured in its own units, `WIDTH` by `HEIGHT`; the page scales it. Colours are those
of the page's style (`--series-0` and so on), so that one drawing fits light and dark ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from structure_net.reporting.markup import text

Point = tuple[float, float]

WIDTH, HEIGHT = 480, 320  # on a phone, 370 pixels wide, letters of 14 units are 11 pixels high
LEFT, RIGHT, TOP, BOTTOM = 62, 22, 12, 48
SERIES = 6  # colours that the style of pages has
MOST_TICKS = 7  # their texts do not touch at 480 units
MOST_DOTS = 5000  # 15 bytes each; in the 396 x 260 units of a drawing more are a blot
MANY = 1000  # dots: from here on they are drawn smaller
SHADES = 16  # of a grid of rectangles: more cannot be told apart
GROWTH = 1.25  # of the squares, of which one dot each is kept, until few enough are left


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`; on a logarithmic axis both lie above 0."""

    low: float
    high: float
    label: str
    logarithmic: bool = False
    form: Callable[[float], str] | None = None

    def share(self, value: float) -> float:
        """Where a value lies between the ends: 0 at `low`, 1 at `high`."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """At most `MOST_TICKS` round values with their texts; an empty text takes its tick away."""
        values = self._powers() if self.logarithmic else []
        step = 0.0
        if len(values) < 2:
            step = _step(self.low, self.high)
            places = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
            values = [place * step for place in places]
        texts = [self.form(value) if self.form else _number(value, step) for value in values]
        return [(value, shown) for value, shown in zip(values, texts, strict=True) if shown]

    def _powers(self) -> list[float]:
        """1, 2 and 5 times powers of ten between the ends; where these are many, powers alone."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for factors in ((1, 2, 5), (1,)):
            values = [f * 10.0**power for power in range(first, last + 1) for f in factors]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) <= MOST_TICKS:
                return inside
        return inside[:: -(-len(inside) // MOST_TICKS)]


def axis_of(
    values: Sequence[float],
    label: str,
    *,
    logarithmic: bool = False,
    form: Callable[[float], str] | None = None,
) -> Axis:
    """The axis that holds all values, of which there is at least one, with room at its ends."""
    low, high = min(values), max(values)
    if logarithmic:
        room = max((high / low) ** 0.04, 1.02)
        return Axis(low / room, high * room, label, True, form)
    room = 0.04 * (high - low) or max(abs(high), 1.0) * 0.05
    return Axis(low - room, high + room, label, False, form)


@dataclass(frozen=True)
class Chart:
    """Two axes; its methods give the SVG of what is drawn between them."""

    across: Axis
    up: Axis

    def place(self, point: Point) -> Point:
        """Units of the drawing, from the left and from the top."""
        x = LEFT + self.across.share(point[0]) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - self.up.share(point[1]) * (HEIGHT - BOTTOM - TOP)
        return (x, y)

    def frame(self) -> str:
        """Rules, the texts of the ticks, the labels of the axes."""
        right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = [f'<path class="rule" d="M{LEFT} {TOP}V{floor}H{right}"/>']
        for value, shown in self.up.ticks():
            y = self.place((self.across.low, value))[1]
            parts.append(f'<path class="rule" d="M{LEFT} {y:.1f}H{right}"/>')
            parts.append(_label(LEFT - 6, y + 5, shown, "end"))
        for value, shown in self.across.ticks():
            x = self.place((value, self.up.low))[0]
            parts.append(f'<path class="rule" d="M{x:.1f} {floor}v5"/>')
            parts.append(_label(x, floor + 20, shown, "middle"))
        parts.append(_label((LEFT + right) / 2, HEIGHT - 6, self.across.label, "middle"))
        middle = (TOP + floor) / 2
        turned = f'transform="rotate(-90 14 {middle:.1f})"'
        parts.append(_label(14, middle, self.up.label, "middle", turned))
        return "".join(parts)

    def line(self, points: Sequence[Point], series: int, *, dashed: bool = False) -> str:
        """A line through the points in their order."""
        dash = ' stroke-dasharray="7 4"' if dashed else ""
        return (
            f'<polyline points="{self._points(points)}" fill="none" stroke-width="2.5"{dash} '
            f'style="stroke:{colour(series)}"/>'
        )

    def band(self, lower: Sequence[Point], upper: Sequence[Point], series: int) -> str:
        """The area between two lines."""
        around = self._points([*lower, *reversed(upper)])
        return f'<polygon points="{around}" fill-opacity="0.22" style="fill:{colour(series)}"/>'

    def dots(self, points: Sequence[Point], series: int, size: float | None = None) -> str:
        """All points as dots of one path; their size follows from their number unless given."""
        return self._path("dots", points, "h0", series, size or (5 if len(points) < MANY else 3))

    def crosses(self, points: Sequence[Point], series: int) -> str:
        """All points as upright crosses."""
        return self._path("crosses", points, "m-4 0h8m-4-4v8", series, 1.5)

    def bars(self, spans: Sequence[tuple[float, float, float]], series: int) -> str:
        """Columns from the axis across up to a value: (left, right, value) of each."""
        floor, path = HEIGHT - BOTTOM, ""
        for left, right, value in spans:
            x, y = self.place((left, value))
            end = self.place((right, value))[0]
            path += f"M{x + 0.5:.1f} {floor}V{y:.1f}H{end - 0.5:.1f}V{floor}z"
        return f'<path class="bars" d="{path}" style="fill:{colour(series)}"/>'

    def whiskers(self, spans: Sequence[tuple[float, float, float]], series: int) -> str:
        """Upright intervals: (place, low, high) of each."""
        path = ""
        for across, low, high in spans:
            x, bottom = self.place((across, low))
            top = self.place((across, high))[1]
            path += f"M{x - 5:.1f} {bottom:.1f}h10m-5 0V{top:.1f}m-5 0h10"
        return (
            f'<path class="whiskers" d="{path}" fill="none" stroke-width="1.5" '
            f'style="stroke:{colour(series)}"/>'
        )

    def cells(self, shares: Sequence[Sequence[float]], series: int) -> str:
        """A grid of equal rectangles from low to high on both axes, the first row at `up.low`; the
        stronger in colour, the nearer a share in [0, 1] is to 1."""
        x, y = self.place((self.across.low, self.up.low))
        right, top = self.place((self.across.high, self.up.high))
        wide, high = (right - x) / len(shares[0]), (y - top) / len(shares)
        paths: dict[int, str] = {}
        for row, line in enumerate(shares):
            for column, share in enumerate(line):
                if shade := math.ceil(share * SHADES - 1e-9):
                    place = f"M{x + column * wide:.1f} {y - row * high:.1f}"
                    drawn = f"{place}h{wide:.2f}v{-high:.2f}h{-wide:.2f}z"
                    paths[shade] = paths.get(shade, "") + drawn
        return "".join(
            f'<path class="cells" d="{path}" fill-opacity="{shade / SHADES:.3g}" '
            f'style="fill:{colour(series)}"/>'
            for shade, path in sorted(paths.items())
        )

    def marks(self, points: Sequence[Point], titles: Sequence[str], series: int) -> str:
        """Points as rings, each with a text that appears on it."""
        drawn = zip(map(self.place, points), titles, strict=True)
        return "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" stroke-width="2.5" class="ring" '
            f'style="stroke:{colour(series)}"><title>{text(title)}</title></circle>'
            for (x, y), title in drawn
        )

    def thinned(self, points: Sequence[Point]) -> list[Point]:
        """All points, or one of every square of the drawing, the smallest that leave few enough."""
        kept, square = list(points), 1.0
        while len(kept) > MOST_DOTS:
            first: dict[tuple[int, int], Point] = {}
            for point in points:
                x, y = self.place(point)
                first.setdefault((int(x / square), int(y / square)), point)
            kept, square = list(first.values()), square * GROWTH
        return kept

    def _points(self, points: Sequence[Point]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.place, points))

    def _path(self, kind: str, points: Sequence[Point], mark: str, series: int, size: float) -> str:
        if not points:
            return ""
        path = "".join(f"M{x:.1f} {y:.1f}{mark}" for x, y in map(self.place, points))
        return (
            f'<path class="{kind}" d="{path}" fill="none" stroke-linecap="round" '
            f'stroke-width="{size}" style="stroke:{colour(series)}"/>'
        )


def drawing(label: str, *parts: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    """The parts as one picture; `label` is what a screen reader says."""
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(label)}">{inside}</svg>'
    )


def legend(entries: Sequence[tuple[str, str, int]]) -> str:
    """(name, shape, series) of everything drawn; shapes: line, dashed, band, dot, cross, ring."""
    shapes = {
        "line": 'd="M0 8H16" stroke-width="2.5"',
        "dashed": 'd="M0 8h6m4 0h6" stroke-width="2.5"',
        "band": 'd="M0 8H16" stroke-width="14" stroke-opacity="0.3"',
        "dot": 'd="M8 8h0" stroke-width="7" stroke-linecap="round"',
        "cross": 'd="M4 8h8m-4-4v8" stroke-width="1.5"',
        "ring": 'd="M8 3a5 5 0 1 0 .1 0" fill="none" stroke-width="2.5"',
    }
    items = [
        f'<li><svg class="swatch" viewBox="0 0 16 16" aria-hidden="true"><path {shapes[shape]} '
        f'style="stroke:{colour(series)}"/></svg>{text(name)}</li>'
        for name, shape, series in entries
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def colour(series: int) -> str:
    """The colour of a series as the page's style names it."""
    return f"var(--series-{series % SERIES})"


def _label(x: float, y: float, shown: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{text(shown)}</text>'


def _step(low: float, high: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that gives no more than `MOST_TICKS`."""
    least = (high - low) / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _number(value: float, step: float) -> str:
    """A tick's text: as many decimals as its step has, large counts in thousands and millions."""
    for size, unit in ((1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == ' k' else size):,.5g}{unit}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    return f"{value:,.{decimals}f}"
