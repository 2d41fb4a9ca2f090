"""The results of a study as one HTML file: no script, no font, no request of anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from structure_net.reporting import (
    Axis,
    Chart,
    axis_of,
    bullets,
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
from structure_net.studies.table import BESIDE, HEAD, beside_cells, notes, reached_cells, title


def page(results: Mapping[str, Any]) -> str:
    """The whole file. Every name in it is escaped."""
    reference = results["reference"]
    arms: Sequence[Mapping[str, Any]] = results["arms"]
    others = [arm for arm in arms if arm["arm"] != reference]
    claim = results.get("claim")
    parts = [
        element("h1", text(results["study"])),
        paragraph(title(results)),
        paragraph(f"Claim: {claim}") if claim else "",
        heading("What each arm reached"),
        table(HEAD, [reached_cells(arm) for arm in arms]),
        heading(f"Beside {reference}"),
        paragraph(f"{reference} minus the arm, over the same seeds."),
        table(("arm", *BESIDE), [(str(arm["arm"]), *beside_cells(arm)) for arm in others]),
        bullets(notes(results)),
        heading("Best fitness against cost"),
        paragraph(
            "Mean over seeds, with its 95 % interval, of the best validation fitness that had been "
            f"found at each share of {reference}'s ledger."
        ),
        curves_drawn(results["curves"]),
        heading("Settings"),
        _settings(results),
    ]
    return document(str(results["study"]), parts)


def curves_drawn(curves: Mapping[str, Mapping[str, Sequence[float | None]]]) -> str:
    """Curves with their intervals as inline SVG."""
    drawn = {name: _known(series) for name, series in curves.items()}
    every = [value for places in drawn.values() for _, *values in places for value in values]
    if not every:
        return paragraph("No arm has a curve.")
    chart = Chart(
        Axis(0.0, 1.0, "share of the ledger spent", form=lambda share: f"{100 * share:.0f} %"),
        axis_of(every, "best fitness (validation)"),
    )
    parts = [chart.frame()]
    for place, places in enumerate(drawn.values()):
        low = [(x, bottom) for x, bottom, _, _ in places]
        high = [(x, top) for x, _, _, top in places]
        parts.append(chart.band(low, high, place))
        parts.append(chart.line([(x, middle) for x, _, middle, _ in places], place))
    label = "Best fitness so far of each arm against the share of the ledger spent"
    shown = [(name, "line", place) for place, name in enumerate(drawn)]
    return element("figure", drawing(label, *parts) + legend(shown))


def _known(
    series: Mapping[str, Sequence[float | None]],
) -> list[tuple[float, float, float, float]]:
    """(share of the ledger, low, mean, high) of every step where all three are known."""
    steps = len(series["mean"])
    return [
        ((step + 1) / steps, low, mean, high)
        for step, (low, mean, high) in enumerate(
            zip(series["low"], series["mean"], series["high"], strict=True)
        )
        if low is not None and mean is not None and high is not None
    ]


def _settings(results: Mapping[str, Any]) -> str:
    shown = {
        "seeds": ", ".join(map(str, results["seeds"])),
        "arms": "; ".join(f"{name}: {values}" for name, values in results["overrides"].items()),
        "training data": f"{results['dataset']['name']}, hash {results['dataset']['train_hash']}",
        "configuration": ", ".join(f"{name} {value}" for name, value in results["config"].items()),
        "program and machine": ", ".join(
            f"{name} {value}" for name, value in results["environment"].items()
        ),
    }
    return facts([(name, str(value)) for name, value in shown.items()])
