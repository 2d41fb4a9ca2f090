"""The table of the live view: what each worker trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from structure_net.reporting import words
from structure_net.reporting.drawing import Cell, drawn_line, table
from structure_net.reporting.lines import Line
from structure_net.reporting.progress import Progress, Running

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 100  # from here on columns stand two spaces apart
LONGEST_WORKER = 14


@dataclass(frozen=True)
class Column:
    """A column of the workers' table; terminals narrower than `from_width` do without it."""

    heading: str
    right: bool
    from_width: int
    of_trial: Callable[[Running], Cell]
    of_worker: Callable[[Sequence[Running]], Cell]


def _worker(one: Running) -> str:
    return words.brief(one.start.worker, LONGEST_WORKER)


def _epoch(one: Running) -> str:
    return f"{one.epochs_done}/{one.start.epochs}"


def _accuracy(one: Running) -> str:
    return words.accuracy(one.last.validation_accuracy) if one.last else "-"


def _loss(one: Running) -> str:
    return words.loss(one.last.validation_loss) if one.last else "-"


def _nothing(_cohort: Sequence[Running]) -> str:
    return ""


def _least_trained(cohort: Sequence[Running]) -> Running:
    return min(cohort, key=lambda one: one.epochs_done)


def _most_accurate(cohort: Sequence[Running]) -> Running:
    return max(cohort, key=lambda one: one.last.validation_accuracy if one.last else -1.0)


COLUMNS = (
    Column("Worker", False, 60, _worker, lambda cohort: _worker(cohort[0])),
    Column(
        "Device",
        False,
        76,
        lambda one: words.brief(one.start.device, 8),
        lambda cohort: words.brief(cohort[0].start.device, 8),
    ),
    Column(
        "Trial",
        True,
        0,
        lambda one: str(one.number),
        lambda cohort: f"{cohort[0].number}-{cohort[-1].number}",
    ),
    Column(
        "Architecture",
        False,
        0,
        lambda one: one.start.architecture,
        lambda cohort: f"{len(cohort)} trials",
    ),
    Column("Strategy", False, 68, lambda one: words.brief(one.start.strategy, 13), _nothing),
    Column("Batch", True, WIDE, lambda one: str(one.start.batch_size), _nothing),
    Column("Params", True, 76, lambda one: f"{one.start.active_parameters:,}", _nothing),
    Column("Epoch", True, 0, _epoch, lambda cohort: _epoch(_least_trained(cohort))),
    Column("Acc", True, 0, _accuracy, lambda cohort: _accuracy(_most_accurate(cohort))),
    Column("Loss", True, 0, _loss, lambda cohort: _loss(_most_accurate(cohort))),
)


def workers_table(progress: Progress, width: int, most_rows: int) -> list[RenderableType]:
    """A row a trial where they fit into `most_rows`; else a row a worker, with the slowest
    epoch and the best accuracy of its cohort; else as many workers as fit and their number."""
    trials = sorted(progress.running.values(), key=_place)
    if not trials:
        return []
    columns = [column for column in COLUMNS if width >= column.from_width]
    headings = [(column.heading, column.right) for column in columns]
    gap = 2 if width >= WIDE else 1
    if len(trials) <= most_rows:
        rows = [[column.of_trial(one) for column in columns] for one in trials]
        return [table(headings, rows, width, gap)]
    cohorts: dict[str, list[Running]] = {}
    for one in trials:
        cohorts.setdefault(one.start.worker, []).append(one)
    rows = [
        [
            column.of_worker(cohort) if len(cohort) > 1 else column.of_trial(cohort[0])
            for column in columns
        ]
        for cohort in list(cohorts.values())[:most_rows]
    ]
    drawn_rows: list[RenderableType] = [table(headings, rows, width, gap)]
    if len(cohorts) > most_rows:
        more = words.counted(len(cohorts) - most_rows, "more worker")
        drawn_rows.append(drawn_line(Line(f"and {more}"), width))
    return drawn_rows


def _place(one: Running) -> tuple[int, str, int]:
    """Workers in the order of their numbers: `worker-2` before `worker-10`."""
    return (len(one.start.worker), one.start.worker, one.number)
