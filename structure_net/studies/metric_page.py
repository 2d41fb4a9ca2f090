"""The study of metrics as lines of text and as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from structure_net.reporting import (
    Axis,
    Cell,
    Chart,
    document,
    drawing,
    element,
    facts,
    heading,
    legend,
    paragraph,
    table,
    text,
)
from structure_net.studies.statistics import ALPHA
from structure_net.studies.table import NONE, aligned

HEAD = (
    "metric",
    "group",
    "networks",
    "rho",
    "95 % interval",
    "p (Holm)",
    "at equal size",
    "verdict",
)


def metrics_lines(results: Mapping[str, Any]) -> list[str]:
    """A row for each metric, strongest first."""
    rows = [_cells(one) for one in results["correlations"]]
    return [_title(results), *aligned([HEAD, *rows]), "", *_notes(results)]


def metrics_page(results: Mapping[str, Any]) -> str:
    """The whole file. Every name in it is escaped."""
    known = [one for one in results["correlations"] if one["rho"] is not None]
    parts = [
        element("h1", text("Metrics and final accuracy")),
        paragraph(_title(results)),
        _picture(known),
        table(HEAD, [_row(one) for one in results["correlations"]], "correlations"),
        *(paragraph(note) for note in _notes(results)),
        heading("Settings"),
        facts(
            [
                (
                    "training data",
                    f"{results['dataset']['name']}, {results['dataset']['train_hash']}",
                ),
                ("configuration", ", ".join(f"{k} {v}" for k, v in results["config"].items())),
                ("machine", ", ".join(f"{k} {v}" for k, v in results["environment"].items())),
            ]
        ),
    ]
    return document("Metrics and final accuracy", parts)


def _picture(known: Sequence[Mapping[str, Any]]) -> str:
    if not known:
        return paragraph("No metric has a correlation.")
    chart = Chart(
        Axis(0.0, len(known) + 1.0, "metric, in the order of the table"),
        Axis(-1.0, 1.0, "Spearman's rho with final accuracy"),
    )
    ends = [(chart.across.low, 0.0), (chart.across.high, 0.0)]
    parts = [chart.frame(), chart.line(ends, 2, dashed=True)]
    for series, proven in ((0, True), (1, False)):
        own = [
            (float(place), one)
            for place, one in enumerate(known, start=1)
            if (one["p_holm"] < ALPHA) == proven
        ]
        parts.append(chart.whiskers([(x, one["low"], one["high"]) for x, one in own], series))
        parts.append(chart.dots([(x, one["rho"]) for x, one in own], series, 6))
    shown = [("a relation is shown", "dot", 0), ("none is shown", "dot", 1)]
    label = "Correlation of each metric with final accuracy, with its 95 % interval"
    return element("figure", drawing(label, *parts) + legend(shown))


def _row(one: Mapping[str, Any]) -> list[Cell | str]:
    """The cells of a line; words stand to the left, and the verdict takes several lines."""
    name, group, *figures, verdict = _cells(one)
    words = [Cell(name, kind="words"), Cell(group, kind="words")]
    return [*words, *figures, Cell(verdict, kind="words long")]


def _title(results: Mapping[str, Any]) -> str:
    when = "as measured last"
    if results["epoch"] is not None:
        when = f"after {results['epoch']} of {results['epochs']} epochs"
    return (
        f"metrics {when} against final validation accuracy: {results['networks']} random networks "
        f"on {results['dataset']['name']}"
    )


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    if one["rho"] is None:
        return (one["metric"], one["group"], str(one["count"]), *[NONE] * 4, one["verdict"])
    return (
        one["metric"],
        one["group"],
        str(one["count"]),
        f"{one['rho']:+.3f}",
        f"{one['low']:+.3f} {one['high']:+.3f}",
        f"{one['p_holm']:.4f}",
        NONE if one["partial"] is None else f"{one['partial']:+.3f}",
        one["verdict"],
    )


def _notes(results: Mapping[str, Any]) -> list[str]:
    notes = []
    spread = results["accuracy"]
    if spread["median"] is not None:
        notes.append(
            f"accuracies from {spread['lowest']:.4f} to {spread['highest']:.4f}, median "
            f"{spread['median']:.4f}"
        )
    if results["smallest_shown"] is not None:
        notes.append(
            f"the smallest |rho| that can be shown is about {results['smallest_shown']:.2f}"
        )
    if results["failed"]:
        notes.append(f"{results['failed']} trainings failed and are left out")
    notes.append(
        "at equal size: the rank correlation with the number of connections held fixed, not "
        "tested; a correlation is no cause"
    )
    return notes
