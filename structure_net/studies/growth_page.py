"""The study of growth as lines of text and as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from structure_net.reporting import (
    Axis,
    Cell,
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
from structure_net.studies.contrasts import CONTRAST_HEAD, WORDS, contrast_cells, reach_note
from structure_net.studies.table import NONE, aligned

REACHED = ("arm", "density", "accuracy", "95 % interval", "connections", "grown", "FLOP", "failed")
HEAD = (*CONTRAST_HEAD[:-1], "ledger", CONTRAST_HEAD[-1])


def growth_lines(results: Mapping[str, Any]) -> list[str]:
    """What each arm reached, then for each rule its controls; then notes."""
    lines = [_title(results), *aligned([REACHED, *map(_reached, results["arms"])])]
    for own in results["tables"]:
        rows = [growth_cells(one) for one in own["contrasts"]]
        lines += ["", f"{own['rule']} minus its controls, over the same seeds"]
        lines += aligned([HEAD, *rows])
    return [*lines, "", *_notes(results)]


def growth_page(results: Mapping[str, Any]) -> str:
    """The whole file. Every name in it is escaped."""
    parts = [
        element("h1", text("Growth and its controls")),
        paragraph(_title(results)),
        bullets(_notes(results)),
    ]
    for own in results["tables"]:
        parts.append(heading(f"{own['rule']} minus its controls"))
        parts.append(_picture(own))
        parts.append(contrast_table(HEAD, [growth_cells(one) for one in own["contrasts"]]))
    parts.append(heading("What each arm reached"))
    parts.append(table(REACHED, [_reached(arm) for arm in results["arms"]]))
    parts += settings(results)
    return document("Growth and its controls", parts)


def contrast_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of contrasts, its words to the left."""
    drawn: list[list[Cell | str]] = [
        [
            Cell(cell, kind="words") if name in WORDS else cell
            for name, cell in zip(head, row, strict=True)
        ]
        for row in rows
    ]
    return table(head, drawn)


def settings(results: Mapping[str, Any]) -> list[str]:
    """Data, configuration and machine."""
    data = results["dataset"]
    told = [
        ("training data", f"{data['name']}, {data['train_hash']}"),
        ("seeds", ", ".join(map(str, results["seeds"]))),
        ("configuration", ", ".join(f"{k} {v}" for k, v in results["config"].items())),
        ("machine", ", ".join(f"{k} {v}" for k, v in results["environment"].items())),
    ]
    return [heading("Settings"), facts(told)]


def growth_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of `HEAD`."""
    cells, ends = contrast_cells(one), one["ledger"]
    ledger = NONE
    if ends is not None:
        ledger = f"{ends[0]:.3f}-{ends[1]:.3f}" + ("" if one["equal_ledgers"] else " !")
    return (*cells[:-1], ledger, cells[-1])


def _reached(arm: Mapping[str, Any]) -> tuple[str, ...]:
    known = arm["accuracy"]
    if known is None:
        return (arm["arm"], f"{arm['density']:g}", *[NONE] * 5, str(arm["failed"]))
    return (
        arm["arm"],
        f"{arm['density']:g}",
        f"{known['mean']:.4f}",
        f"{known['low']:.4f} {known['high']:.4f}",
        f"{arm['connections']:,.0f}",
        f"{arm['growth_events']:.1f}",
        f"{arm['cost']:.3g}",
        str(arm["failed"]),
    )


def _picture(own: Mapping[str, Any]) -> str:
    """Differences with their intervals; above 0 the rule is better."""
    known = [one for one in own["contrasts"] if one["pairs"] is not None]
    if not known:
        return paragraph("No arm can be compared.")
    ends = [one["pairs"][end] for one in known for end in ("low", "high")]
    chart = Chart(
        Axis(0.0, len(known) + 1.0, "control, in the order of the table"),
        axis_of([0.0, *ends], f"{own['rule']} minus the control"),
    )
    parts = [chart.frame(), chart.line([(chart.across.low, 0.0), (chart.across.high, 0.0)], 2)]
    for series, proven in ((0, True), (1, False)):
        shown = [
            (float(place), one["pairs"])
            for place, one in enumerate(known, start=1)
            if (one["verdict"] in ("better", "worse")) == proven
        ]
        parts.append(chart.whiskers([(x, one["low"], one["high"]) for x, one in shown], series))
        parts.append(chart.dots([(x, one["difference"]) for x, one in shown], series, 6))
    label = f"Accuracy of {own['rule']} minus that of each control, with its 95 % interval"
    entries = [("a difference is shown", "dot", 0), ("none is shown", "dot", 1)]
    return element("figure", drawing(label, *parts) + legend(entries))


def _title(results: Mapping[str, Any]) -> str:
    return (
        f"validation accuracy after {results['epochs']} epochs, {results['dataset']['name']}, "
        f"{len(results['seeds'])} seeds, an attempt every {results['growth_frequency']} epochs, "
        f"strategy {results['strategy']}, base rate {results['rate']:g}"
    )


def _notes(results: Mapping[str, Any]) -> list[str]:
    seeds, told = len(results["seeds"]), []
    for one in results["densities"]:
        told.append(
            f"density {one['density']:g}: {one['connections']:,} connections at the start "
            f"({one['realised']:.4f}) of {'-'.join(map(str, one['architecture']))}"
        )
    for own in results["tables"]:
        for best in own["best"]:
            pairs, p = best["pairs"], best["p_holm"]
            tested = "not tested" if p is None else f"p {p:.4f}, {best['verdict']}"
            told.append(
                f"{own['rule']} against the best of its controls at equal cost, {best['second']} "
                f"(density {best['density']:g}): {pairs['difference']:+.4f} "
                f"({pairs['low']:+.4f} to {pairs['high']:+.4f}), {tested}"
            )
        told.append(f"{own['rule']}: {reach_note(seeds, len(own['contrasts']))}")
        grown = [arm["growth_events"] for arm in results["arms"] if arm["arm"] == own["rule"]]
        if not any(grown):
            told.append(f"{own['rule']} never added anything: what differs is repair alone")
    told.append(
        "ledger: smallest and largest share of the rule's cost; ! where that is not within 1 %"
    )
    return told
