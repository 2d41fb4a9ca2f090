"""The study of learning rates as lines of text and as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from structure_net.reporting import (
    Cell,
    Chart,
    axis_of,
    bullets,
    document,
    drawing,
    element,
    heading,
    legend,
    paragraph,
    table,
    text,
)
from structure_net.studies.contrasts import CONTRAST_HEAD, contrast_cells, reach_note
from structure_net.studies.growth_page import contrast_table, settings
from structure_net.studies.table import NONE, aligned

REACHED = ("arm", "density", "accuracy", "95 % interval", "base rate")
MOVED = ("strategy", "density", "best rate", "tuned once", "loss", "95 % interval", "verdict")
PLACEBO = "Each strategy minus its placebo, at the same base rate, over the same seeds"
COSINE = "Each arm minus COSINE, both at their own best rate, over the same seeds"


def rates_lines(results: Mapping[str, Any]) -> list[str]:
    """What each arm reached, what one rate costs, both tables of contrasts; then notes."""
    return [
        _title(results),
        *aligned([REACHED, *map(_reached, results["arms"])]),
        "",
        _once(results),
        *aligned([MOVED, *map(_moved, results["transfer"])]),
        "",
        PLACEBO,
        *aligned([CONTRAST_HEAD, *map(contrast_cells, results["placebo"])]),
        "",
        COSINE,
        *aligned([CONTRAST_HEAD, *map(contrast_cells, results["cosine"])]),
        "",
        *_notes(results),
    ]


def rates_page(results: Mapping[str, Any]) -> str:
    """The whole file. Every name in it is escaped."""
    moved: list[list[Cell | str]] = [
        [Cell(first, kind="words"), *rest, Cell(last, kind="words")]
        for first, *rest, last in map(_moved, results["transfer"])
    ]
    parts = [
        element("h1", text("Learning-rate strategies and their placebos")),
        paragraph(_title(results)),
        bullets(_notes(results)),
        heading("Accuracy over densities"),
        _by_density(results),
        table(REACHED, [_reached(arm) for arm in results["arms"]]),
        heading("Against the placebo"),
        paragraph(PLACEBO),
        contrast_table(CONTRAST_HEAD, [contrast_cells(one) for one in results["placebo"]]),
        heading("Against COSINE"),
        paragraph(COSINE),
        contrast_table(CONTRAST_HEAD, [contrast_cells(one) for one in results["cosine"]]),
        heading("One rate for all densities"),
        paragraph(_once(results)),
        table(MOVED, moved),
        *(_tuning(results, arm) for arm in results["strategies"]),
        *settings(results),
    ]
    return document("Learning-rate strategies and their placebos", parts)


def _by_density(results: Mapping[str, Any]) -> str:
    """A line for each strategy, dashed for its placebo."""
    known = [arm for arm in results["arms"] if arm["accuracy"] is not None]
    if not known:
        return paragraph("No training came to its end.")
    realised = {one["density"]: one["realised"] for one in results["densities"]}
    chart = Chart(
        axis_of(list(realised.values()), "density", logarithmic=True, form=lambda d: f"{d:g}"),
        axis_of([arm["accuracy"]["mean"] for arm in known], "accuracy (validation)"),
    )
    parts, shown = [chart.frame()], []
    for name in dict.fromkeys(arm["arm"] for arm in known):
        strategy, _, control = name.partition(", ")
        series = results["strategies"].index(strategy)
        own = sorted(
            (realised[arm["density"]], arm["accuracy"]["mean"])
            for arm in known
            if arm["arm"] == name
        )
        parts.append(chart.line(own, series, dashed=bool(control)))
        parts.append(chart.dots(own, series, 6))
        shown.append((name, "dashed" if control else "line", series))
    label = "Mean validation accuracy of each strategy and of its placebo over densities"
    return element("figure", drawing(label, *parts) + legend(shown))


def _tuning(results: Mapping[str, Any], arm: str) -> str:
    """Mean accuracy over the grid of base rates, a line for each density."""
    own = [one for one in results["grid"] if one["arm"] == arm]
    lines = [(one["density"], [(at["rate"], at["accuracy"]) for at in one["rates"]]) for one in own]
    drawn = [(d, [(r, a) for r, a in points if a is not None]) for d, points in lines]
    every = [a for _, points in drawn for _, a in points]
    if not every:
        return ""
    chart = Chart(
        axis_of(results["rates"], "base rate", logarithmic=True, form=lambda rate: f"{rate:g}"),
        axis_of(every, "accuracy (tuning seeds)"),
    )
    parts, shown = [chart.frame()], []
    for series, (density, points) in enumerate(drawn):
        parts += [chart.line(points, series), chart.dots(points, series, 6)]
        shown.append((f"density {density:g}", "line", series))
    label = f"Mean accuracy of {arm} at each base rate, for each density"
    title = element("figcaption", text(arm))
    return element("figure", title + drawing(label, *parts) + legend(shown))


def _reached(arm: Mapping[str, Any]) -> tuple[str, ...]:
    known, start = arm["accuracy"], (arm["arm"], f"{arm['density']:g}")
    if known is None:
        return (*start, NONE, NONE, f"{arm['rate']:g}")
    figures = (f"{known['mean']:.4f}", f"{known['low']:.4f} {known['high']:.4f}")
    return (*start, *figures, f"{arm['rate']:g}")


def _moved(one: Mapping[str, Any]) -> tuple[str, ...]:
    loss = one["loss"]
    figures = (NONE, NONE)
    if loss is not None:
        figures = (f"{loss['mean']:+.4f}", f"{loss['low']:+.4f} {loss['high']:+.4f}")
    best = f"{one['best']:g}" + (" *" if one["at_an_end"] else "")
    rates = (best, f"{one['anchored']:g}")
    return (one["arm"], f"{one['density']:g}", *rates, *figures, one["verdict"])


def _once(results: Mapping[str, Any]) -> str:
    return (
        f"What a rate tuned once, at density {results['anchor']:g}, loses at the others (accuracy "
        f"with the best rate of the grid minus accuracy with that one; margin "
        f"{results['margin']:g})"
    )


def _title(results: Mapping[str, Any]) -> str:
    return (
        f"validation accuracy after {results['epochs']} epochs, {results['dataset']['name']}, "
        f"{len(results['seeds'])} seeds; base rates tuned on {len(results['tuning_seeds'])} other "
        f"seeds"
    )


def _notes(results: Mapping[str, Any]) -> list[str]:
    told = list(results["sentences"])
    for one in results["densities"]:
        told.append(
            f"density {one['density']:g}: {one['connections']:,} connections "
            f"({one['realised']:.4f}) of {'-'.join(map(str, one['architecture']))}"
        )
    seeds = len(results["seeds"])
    for name in ("placebo", "cosine"):
        told.append(f"table against {name}: {reach_note(seeds, len(results[name]))}")
    if any(one["at_an_end"] for one in results["transfer"]):
        told.append("*: at an end of the grid; a better rate may lie beyond it (--rates)")
    if results["failed"]:
        told.append(f"{results['failed']} trainings failed and are left out")
    return told
