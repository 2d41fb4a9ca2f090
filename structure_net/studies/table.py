"""The results of a study as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("arm", "outcome", "95 % interval", "as found", "hypervolume", "params", "trials")
BESIDE = ("difference", "95 % interval", "p (Holm)", "A12", "d", "power", "ledger")
NONE = "-"


def table_lines(results: Mapping[str, Any]) -> list[str]:
    """Two tables: what each arm reached, and each arm beside the reference; then notes."""
    arms: Sequence[Mapping[str, Any]] = results["arms"]
    reference = results["reference"]
    reached = aligned([HEAD, *map(reached_cells, arms)])
    others = [arm for arm in arms if arm["arm"] != reference]
    beside = aligned([("arm", *BESIDE), *((arm["arm"], *beside_cells(arm)) for arm in others)])
    return [
        f"{results['study']}: {title(results)}",
        *reached,
        "",
        f"{reference} minus the arm, over the same seeds; A12 is the chance that {reference} gives "
        f"the larger value",
        *beside,
        "",
        *notes(results),
    ]


def title(results: Mapping[str, Any]) -> str:
    """What was measured, on what."""
    outcome = str(results["outcome"]).replace("_", " ")
    times = "once" if results["retrain"] == 1 else f"{results['retrain']} times"
    again = f" of the champion trained again {times}"
    told = again if results["retrain"] and results["outcome"] != "hypervolume" else ""
    return f"{outcome}{told}, {results['dataset']['name']}, {len(results['seeds'])} seeds"


def reached_cells(arm: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of `HEAD`."""
    return (
        str(arm["arm"]),
        _mean(arm["outcome"]),
        _interval(arm["outcome"]),
        _mean(arm["searched"]),
        _mean(arm["hypervolume"]),
        NONE if arm["parameters"] is None else f"{arm['parameters']:,.0f}",
        f"{arm['trials']:.1f}",
    )


def beside_cells(arm: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of `BESIDE`."""
    pairs, low_high = arm["against"], arm["ledger"]
    ledger = f"{low_high[0]:.3f}-{low_high[1]:.3f}" + ("" if arm["equal_ledgers"] else " !")
    if pairs is None:
        return (*[NONE] * 6, ledger)
    return (
        f"{pairs['difference']:+.4f}",
        f"{pairs['low']:+.4f} {pairs['high']:+.4f}",
        NONE if arm["p_holm"] is None else f"{arm['p_holm']:.4f}",
        f"{pairs['a12']:.2f}",
        NONE if pairs["effect"] is None else f"{pairs['effect']:+.2f}",
        NONE if pairs["power"] is None else f"{pairs['power']:.2f}",
        ledger,
    )


def notes(results: Mapping[str, Any]) -> list[str]:
    """Verdicts, and what a reader must know before quoting a number."""
    arms = [arm for arm in results["arms"] if arm["arm"] != results["reference"]]
    told = [f"{arm['arm']}: {arm['verdict']}" for arm in arms if arm["verdict"]]
    if len(results["seeds"]) < results["minimum_pairs"]:
        told.append(
            f"{len(results['seeds'])} seeds: no p-value is given below {results['minimum_pairs']}."
        )
    if results["equal_cost"]:
        told += [
            f"{arm['arm']}: its ledger is not within 1 % of {results['reference']}'s"
            for arm in arms
            if not arm["equal_ledgers"]
        ]
    told += [
        f"{arm['arm']}: {arm['failed']} trials failed" for arm in results["arms"] if arm["failed"]
    ]
    told.append("power is for a true effect of 0.8 standard deviations of the differences")
    return told


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of text; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _mean(interval: Mapping[str, Any] | None) -> str:
    return NONE if interval is None else f"{interval['mean']:.4f}"


def _interval(interval: Mapping[str, Any] | None) -> str:
    return NONE if interval is None else f"{interval['low']:.4f} {interval['high']:.4f}"
