"""The metrics of one trial as rows of a short table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from structure_net.schema import Figure, MetricsMeasured, NotMeasured

MOST_LAYERS = 6  # numbers of a row; deeper networks show the first and the last


@dataclass(frozen=True)
class MetricRow:
    """A metric as measured last: total, layers, and the least-squares slope of its totals by epoch,
    empty where there are no two of them."""

    name: str
    total: str
    layers: str
    trend: str


def metric_rows(measured: Sequence[MetricsMeasured]) -> list[MetricRow]:
    """One row for each metric, in the order in which they were measured last; `measured` is in the
    order of the epochs, and of several attempts at an epoch the last counts."""
    by_epoch = {event.epoch: event for event in measured}
    events = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    last = {name: value for event in events for name, value in event.values.items()}
    rows = []
    for name, value in last.items():
        totals = {event.epoch: event.values[name].total for event in events if name in event.values}
        total, layers = figure_text(value.total), layers_text(value.layers)
        rows.append(MetricRow(name, total, layers, _trend(totals)))
    return rows


def _trend(totals: dict[int, Figure]) -> str:
    known = {epoch: total for epoch, total in totals.items() if not isinstance(total, NotMeasured)}
    if len(known) < 2:
        return ""
    slope, _ = linear_regression(list(known), list(known.values()))
    return f"{slope:+.2g}"


def layers_text(layers: Sequence[Figure]) -> str:
    """The numbers of the layers, `-` where one has none; empty where none has."""
    if all(isinstance(value, NotMeasured) for value in layers):
        return ""
    texts = ["-" if isinstance(value, NotMeasured) else figure_text(value) for value in layers]
    if len(texts) > MOST_LAYERS:
        half = MOST_LAYERS // 2
        texts = [*texts[:half], "..", *texts[-half:]]
    return " ".join(texts)


def figure_text(value: Figure) -> str:
    """Four digits, or why there is no number."""
    return (
        f"undetermined: {value.undetermined}" if isinstance(value, NotMeasured) else f"{value:.4g}"
    )
