"""`structure-net show RUN`: the state of a run, read without touching it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from structure_net.cli.config import config_text
from structure_net.cli.messages import command
from structure_net.cli.resume import Run, run_directory
from structure_net.cli.show_trial import print_trial
from structure_net.errors import DONE, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from structure_net.schema import Performer
    from structure_net.store import History

MOST_FAILURES = 10  # lines; the results file has all of them
WIDTH_OF_A_PIPE = 160  # columns; no line of the tables is longer for networks of common depth
Flag = Parameter(negative="", show_default=False)


def show(
    run: Run,
    /,
    *,
    config: Annotated[bool, Flag, Parameter(help="every value with its origin")] = False,
    json: Annotated[bool, Flag, Parameter(help="the results as JSON")] = False,
    trial: Annotated[int | None, Parameter(help="one trial, with its metrics")] = None,
) -> int:
    """Show a run, finished or not: progress, generations, the best, failures, files."""
    from structure_net.store import open_history

    directory = run_directory(run)
    if trial is not None:
        print_trial(directory, trial)
        return DONE
    history = open_history(directory)
    if json and not config:
        print(_results_text(directory, history))
    elif config:
        print(config_text(history.config, json=json))
    else:
        _print_state(directory, history)
    return DONE


def _results_text(directory: Path, history: History) -> str:
    """The results file as it would be written at this moment."""
    from structure_net.reporting import results_of

    if history.started is None:
        raise UsageError(f"{directory} has no results: the run ended before it began.")
    return results_of(history).model_dump_json(indent=2)


def _print_state(directory: Path, history: History) -> None:
    """Lines are left unbroken for whoever reads them by a program; tables fit the terminal."""
    from rich.console import Console

    tables = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)
    for line in _progress_lines(directory, history):
        print(_plain(line))
    if history.generations:
        tables.print(_generation_table(history))
        tables.print(_top_table(history.generations[-1].top_performers))
    for line in _ending_lines(directory, history):
        print(_plain(line))


def _progress_lines(directory: Path, history: History) -> Iterator[str]:
    settings = history.config.config
    yield f"{directory}: {_state(directory, history)}"
    yield (
        f"generation {len(history.generations)}/{settings.generations}, "
        f"{len(history.results)} networks trained, {len(history.running)} under way, "
        f"{len(history.failures)} failed"
    )
    if history.started is not None:
        data = history.started.dataset
        yield f"data: {data.name} ({data.verified}), {data.train_samples} for training"
        if history.started.without:
            yield f"without: {', '.join(history.started.without)} (not built yet)"


def _ending_lines(directory: Path, history: History) -> Iterator[str]:
    from structure_net.reporting import retraining_text

    best = history.champion
    if best is not None:
        yield (
            f"champion: trial {best.trial}, validation accuracy {best.validation_accuracy:.4f}, "
            f"test accuracy {best.test_accuracy:.4f} on {best.test_samples} samples, read once"
        )
        if best.retraining:
            yield f"retrained: {retraining_text(best)}"
    for number, failure in sorted(history.failures.items())[:MOST_FAILURES]:
        yield f"trial {number} failed, {failure.failure}: {failure.reason}"
    if len(history.failures) > MOST_FAILURES:
        yield f"and {len(history.failures) - MOST_FAILURES} more failures"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in directory.iterdir())
    yield f"files: {', '.join(name for name in names if not name.startswith('.'))}"


def _state(directory: Path, history: History) -> str:
    if history.finished is not None:
        return f"finished in {history.finished.seconds:.1f} s"
    if _is_locked(directory / "run.lock"):
        return "running"
    return f"not finished and not running; continue with {command('resume', directory)}"


def _is_locked(path: Path) -> bool:
    """Whether some process holds the lock, from the kernel's table: taking the lock to find out
    would get in the way of a run that starts at this moment."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any(f":{inode} " in line for line in lines)


def _generation_table(history: History) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    halved = any(row.stopped for row in history.generations)
    stopped = ("stopped",) if halved else ()
    for name in (
        "generation",
        "best",
        "mean",
        "trained",
        *stopped,
        "failed",
        "survivors",
        "seconds",
    ):
        table.add_column(name, justify="right")
    for number, row in enumerate(history.generations):
        table.add_row(
            str((row.generation if row.generation is not None else number) + 1),
            _figure(row.best_fitness),
            _figure(row.avg_fitness),
            str(row.finished),
            *([str(row.stopped)] if halved else ()),
            str(row.failed),
            str(len(row.survivors)),
            f"{row.duration:.1f}",
        )
    return table


def _top_table(performers: tuple[Performer, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("trial", "fitness", "accuracy", "parameters", "rate"):
        table.add_column(name, justify="right")
    table.add_column("architecture")
    table.add_column("strategy")
    for row in performers[:5]:
        table.add_row(
            str(row.id),
            _figure(row.fitness),
            _figure(row.validation_accuracy),
            str(row.active_parameters),
            f"{row.base_learning_rate:.4f}",
            "-".join(map(str, row.architecture)),
            Text(_plain(row.strategy)),
        )
    return table


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _plain(text: str) -> str:
    """Names and reasons come from files: no control characters reach the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
