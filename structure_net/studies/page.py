"""The results of a study as one HTML file: no script, no font, no request of anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from structure_net.studies.table import BESIDE, HEAD, beside_cells, notes, reached_cells, title

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 360, 64, 40, 12
# Okabe & Ito's colours that keep apart for all kinds of sight, on light and on dark ground.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --ground: #ffffff; --rule: #c8c8c8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --ground: #16181a; --rule: #50555a; } }
body { color: var(--ink); background: var(--ground); font: 16px/1.5 system-ui, sans-serif;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block;
  overflow-x: auto; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 13px; }
svg .rule { stroke: var(--rule); }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
"""


def page(results: Mapping[str, Any]) -> str:
    """The whole file. Every name in it is escaped."""
    reference = results["reference"]
    arms: Sequence[Mapping[str, Any]] = results["arms"]
    others = [arm for arm in arms if arm["arm"] != reference]
    claim = results.get("claim")
    parts = [
        f"<h1>{_text(results['study'])}</h1>",
        f"<p>{_text(title(results))}</p>",
        f"<p>Claim: {_text(claim)}</p>" if claim else "",
        "<h2>What each arm reached</h2>",
        _table(HEAD, [reached_cells(arm) for arm in arms]),
        f"<h2>Beside {_text(reference)}</h2>",
        f"<p>{_text(reference)} minus the arm, over the same seeds.</p>",
        _table(("arm", *BESIDE), [(str(arm["arm"]), *beside_cells(arm)) for arm in others]),
        "<ul>" + "".join(f"<li>{_text(note)}</li>" for note in notes(results)) + "</ul>",
        "<h2>Best fitness against cost</h2>",
        "<p>Mean over seeds, with its 95 % interval, of the best validation fitness that had been "
        f"found at each share of {_text(reference)}'s ledger.</p>",
        drawing(results["curves"]),
        "<h2>Settings</h2>",
        _list(results),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(results['study'])}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def drawing(curves: Mapping[str, Mapping[str, Sequence[float | None]]]) -> str:
    """Curves with their intervals as inline SVG."""
    known = [
        value
        for series in curves.values()
        for values in series.values()
        for value in values
        if value is not None
    ]
    if not known:
        return "<p>No arm has a curve.</p>"
    low, high = min(known), max(known)
    span = (high - low) or 1.0

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / span * (HEIGHT - BOTTOM - TOP)

    def across(step: int, steps: int) -> float:
        return LEFT + (step + 1) / steps * (WIDTH - LEFT - TOP)

    parts = [_axes(low, low + span, up)]
    for place, (name, series) in enumerate(curves.items()):
        colour = COLOURS[place % len(COLOURS)]
        drawn = [
            (across(step, len(series["mean"])), up(bottom), up(middle), up(top))
            for step, (bottom, middle, top) in enumerate(
                zip(series["low"], series["mean"], series["high"], strict=True)
            )
            if bottom is not None and middle is not None and top is not None
        ]
        band = [(x, y) for x, y, _, _ in drawn] + [(x, y) for x, _, _, y in reversed(drawn)]
        line = [(x, y) for x, _, y, _ in drawn]
        parts.append(f'<polygon points="{_points(band)}" fill="{colour}" fill-opacity="0.18"/>')
        parts.append(
            f'<polyline points="{_points(line)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        y = HEIGHT - BOTTOM - 14 - 18 * (len(curves) - 1 - place)
        parts.append(
            f'<rect x="{WIDTH - 170}" y="{y - 10}" width="12" height="12" fill="{colour}"/>'
        )
        parts.append(f'<text x="{WIDTH - 152}" y="{y}">{_text(name)}</text>')
    label = "Best fitness so far of each arm against the share of the ledger spent"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )


def _axes(low: float, high: float, up: Any) -> str:
    parts = []
    for tick in range(5):
        value = low + (high - low) * tick / 4
        y = up(value)
        parts.append(
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - TOP}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3f}</text>')
        x = LEFT + tick / 4 * (WIDTH - LEFT - TOP)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">'
            f"{25 * tick} %</text>"
        )
    return "".join(parts)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _list(results: Mapping[str, Any]) -> str:
    shown = {
        "seeds": ", ".join(map(str, results["seeds"])),
        "arms": "; ".join(f"{name}: {values}" for name, values in results["overrides"].items()),
        "training data": f"{results['dataset']['name']}, hash {results['dataset']['train_hash']}",
        "configuration": ", ".join(f"{name} {value}" for name, value in results["config"].items()),
        "program and machine": ", ".join(
            f"{name} {value}" for name, value in results["environment"].items()
        ),
    }
    rows = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in shown.items()
    )
    return f"<dl>{rows}</dl>"


def _text(value: Any) -> str:
    return escape(str(value), quote=True)
