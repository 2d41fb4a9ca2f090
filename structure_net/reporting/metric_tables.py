"""Metrics by group: what they measured, in which unit, which way is better; and small charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from structure_net.reporting.markup import Cell, element, table, text
from structure_net.reporting.trial_metrics import figure_text, layers_text
from structure_net.schema import Figure, Measured, MetricFacts, NotMeasured

GROUPS = ("information", "activity", "sensitivity", "graph", "other")
HEAD = ("metric", "network", "unit", "layers", "better", "what it says")
UNKNOWN = MetricFacts(group="other", unit="", low=None, high=None, better=None, meaning="")
BAR, GAP, HIGH = 7, 2, 20  # of small charts, in their own units


@dataclass(frozen=True)
class GroupedMetric:
    """A metric with its values as they were measured, and what it declares."""

    name: str
    facts: MetricFacts
    measured: Measured

    @property
    def total(self) -> str:
        return figure_text(self.measured.total)

    @property
    def layers(self) -> str:
        return layers_text(self.measured.layers)

    @property
    def better(self) -> str:
        """The way in which a network improves; `-` where that depends."""
        return self.facts.better or "-"


def by_group(
    values: Mapping[str, Measured], facts: Mapping[str, MetricFacts]
) -> dict[str, list[GroupedMetric]]:
    """Metrics of each group, in the order in which they were measured; empty groups are left out.
    One that nobody declared, as in runs from before declarations were recorded, is `other`."""
    rows = [GroupedMetric(name, facts.get(name, UNKNOWN), one) for name, one in values.items()]
    known = {name: name if name in GROUPS else GROUPS[-1] for name in {r.facts.group for r in rows}}
    found = {name: [row for row in rows if known[row.facts.group] == name] for name in GROUPS}
    return {name: own for name, own in found.items() if own}


def metric_tables(
    values: Mapping[str, Measured], facts: Mapping[str, MetricFacts], field: str = ""
) -> str:
    """A table for each group under its name; `field` is where the values lie in the results file,
    empty where they lie in none."""
    parts = []
    for group, rows in by_group(values, facts).items():
        cells = [_cells(row, field) for row in rows]
        parts.append(element("h3", text(group.capitalize())))
        parts.append(table(HEAD, cells, f"metrics-{group}"))
    return "\n".join(parts)


def _cells(row: GroupedMetric, field: str) -> list[Cell | str]:
    total, place = row.measured.total, f"{field}.{row.name}.total" if field else ""
    missing = isinstance(total, NotMeasured)
    value = total.model_dump() if isinstance(total, NotMeasured) else total
    return [
        Cell(row.name, kind="words"),
        Cell(row.total, value, place, "words long" if missing else ""),
        Cell(row.facts.unit, kind="words"),
        Cell(row.layers, picture=small_chart(row.measured.layers), kind="words"),
        Cell(row.better, kind="words"),
        Cell(row.facts.meaning, kind="words long"),
    ]


def small_chart(layers: Sequence[Figure]) -> str:
    """A column for each layer, input side first, from 0 or the smallest value where that is below;
    a layer without a number leaves its place free. Nothing for fewer than two numbers."""
    known = [one for one in layers if not isinstance(one, NotMeasured)]
    if len(known) < 2:
        return ""
    low, high = min(0.0, *known), max(0.0, *known)
    scale = HIGH / (high - low) if high > low else 0.0
    zero, path = HIGH - (0.0 - low) * scale, ""
    for place, one in enumerate(layers):
        if not isinstance(one, NotMeasured):
            # A column of nothing keeps a line, so that it is not taken for a missing one.
            path += f"M{place * (BAR + GAP)} {zero:.1f}h{BAR}v{-one * scale or -0.6:.1f}h{-BAR}z"
    width = len(layers) * (BAR + GAP)
    return (
        f'<svg class="small" viewBox="0 0 {width} {HIGH}" width="{width}" height="{HIGH}" '
        f'aria-hidden="true"><path d="{path}" style="fill:var(--series-0)"/></svg>'
    )
