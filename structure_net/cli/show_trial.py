"""`structure-net show RUN --trial N`: one trial, with the metrics measured last."""

from __future__ import annotations

import sys
from pathlib import Path

from structure_net.errors import UsageError
from structure_net.schema import GrowthRecord

WIDTH_OF_A_PIPE = 160  # columns, as for the tables of a run


def print_trial(directory: Path, number: int) -> None:
    """What the run knows of a trial; UsageError where it has none of that number."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from structure_net.reporting import blocks_text, metric_rows
    from structure_net.schema import GrowthAttempted, MetricsMeasured, TrialStarted
    from structure_net.store import open_history, read_events

    history = open_history(directory)
    own = [event for _, event in read_events(directory) if event.trial == number]
    starts = [event for event in own if isinstance(event, TrialStarted)]
    if not starts:
        raise UsageError(
            f"{directory} has no trial {number}; its trials have the numbers 0 to "
            f"{max(history.attempts, default=0)}."
        )
    start, result = starts[-1], history.results.get(number)
    print(f"trial {number} of generation {(start.generation or 0) + 1}: {start.genome.id}")
    print(f"architecture: {'-'.join(map(str, start.architecture))}, {start.genome.activation}")
    if any(start.genome.blocks):
        print(f"residual blocks: {blocks_text(start.genome)}")
    if result is not None:
        print(
            f"validation accuracy {result.validation_accuracy:.4f}, loss "
            f"{result.validation_loss:.4f}, {result.connections} connections"
        )
    elif number in history.failures:
        failed = history.failures[number]
        print(_plain(f"failed, {failed.failure}: {failed.reason}"))
    # A trial that is run again tries again: its last word on an epoch counts.
    tried = {one.record.epoch: one.record for one in own if isinstance(one, GrowthAttempted)}
    for _, record in sorted(tried.items()):
        print(_plain(_growth_line(record)))
    measured = [event for event in own if isinstance(event, MetricsMeasured)]
    if not measured:
        print("no metrics were measured")
        return
    print(f"metrics after epoch {measured[-1].epoch + 1} of {start.epochs} ({measured[-1].level})")
    table = Table(box=None, pad_edge=False)
    for name in ("metric", "network", "layers", "per epoch"):
        table.add_column(name, overflow="fold")
    for row in metric_rows(measured):
        table.add_row(Text(_plain(row.name)), Text(_plain(row.total)), row.layers, row.trend)
    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    Console(file=sys.stdout, width=width).print(table)


def _growth_line(record: GrowthRecord) -> str:
    """`growth after epoch 5 by extrema: grown, [64, 32, 10] -> [64, 35, 10], 300 -> 341 ...`."""
    widths = f"{list(record.architecture_before)} -> {list(record.architecture_after)}"
    connections = f"{record.connections_before} -> {record.connections_after} connections"
    accuracy = f"accuracy {record.accuracy_before:.4f} -> {record.accuracy_after:.4f}"
    what = f"{widths}, {connections}, {accuracy}" if record.outcome == "grown" else record.reason
    outcome = record.outcome.replace("_", " ")
    return f"growth after epoch {record.epoch + 1} by {record.rule}: {outcome}, {what}"


def _plain(text: str) -> str:
    """Names and reasons come from files: no control characters reach the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
