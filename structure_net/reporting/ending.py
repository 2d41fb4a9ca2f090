"""The last block of a run: champion, success criteria, files, what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from structure_net.reporting import words
from structure_net.reporting.lines import Line, Role
from structure_net.reporting.progress import Progress
from structure_net.schema import ChampionEvaluated, Criterion, Performer

STATE_ROLES: dict[str, Role] = {"met": "good", "not met": "failure", "not measured": "warning"}


def ending(
    progress: Progress, directory: Path, files: Sequence[Path], next_command: str
) -> Iterator[Line]:
    """The lines of the block. A run that was stopped says so and shows the best so far."""
    if progress.finished is None:
        yield Line(f"Stopped: {_so_far(progress)}", "heading")
    best = _best(progress)
    if best is not None:
        label = "Champion" if progress.finished is not None else "Best so far"
        yield from _champion(best, label, progress.tested)
    if progress.finished is not None:
        yield from _criteria(progress.finished.criteria)
        yield from _metrics(progress)
        yield from _too_many_failures(progress)
    yield Line(f"Files in {directory}", "heading", whole=True)
    for path in files:
        yield Line(str(_inside(path, directory)), indent=2, whole=True)
    if next_command:
        yield Line("Next", "heading")
        yield Line(next_command, indent=2, whole=True)


def last_line(progress: Progress, directory: Path) -> Line:
    """All that `--quiet` says at the end."""
    best = _best(progress)
    if best is None or progress.finished is None:
        return Line(f"stopped: {_so_far(progress)}; {directory}", whole=True)
    parts = [
        f"champion trial {best.id}: fitness {words.fitness(best.fitness)}",
        f"validation accuracy {words.accuracy(best.validation_accuracy)}",
    ]
    if progress.tested is not None:
        parts.append(f"test accuracy {words.accuracy(progress.tested.test_accuracy)}")
    parts.append(f"{progress.finished.failed}/{progress.finished.trials} trials failed")
    return Line(", ".join(parts) + f"; {directory}", whole=True)


def _so_far(progress: Progress) -> str:
    if progress.generation is None:
        return f"{words.counted(progress.all_ended, 'trial')} ended"
    return (
        f"generation {progress.generation_label}, {words.counted(progress.all_ended, 'trial')} "
        f"ended, {progress.all_failed} of them failed"
    )


def _best(progress: Progress) -> Performer | None:
    """The champion, or the best of the last generation while there is no champion."""
    if progress.finished is not None:
        return progress.performers.get(progress.finished.champion)
    return max(progress.performers.values(), key=lambda one: one.fitness, default=None)


def _champion(best: Performer, label: str, tested: ChampionEvaluated | None) -> Iterator[Line]:
    possible = sum(math.prod(shape) for shape in best.genome.shapes)
    test = "not read"
    if tested is not None:
        test = f"{words.accuracy(tested.test_accuracy)} on {tested.test_samples:,} samples"
    again = []
    if tested is not None and tested.retraining:
        again.append(("retrained", words.retraining_text(tested)))
    yield Line(f"{label}: trial {best.id}, genome {best.genome_id}", "heading")
    for name, value in (
        ("architecture", words.architecture(best.architecture)),
        ("parameters", f"{best.active_parameters:,} active, {best.dense_parameters:,} if dense"),
        ("density", f"{best.connections / possible:.3f} ({best.connections:,} connections)"),
        ("fitness", words.fitness(best.fitness)),
        ("validation accuracy", words.accuracy(best.validation_accuracy)),
        ("test accuracy", test),
        *again,
    ):
        yield Line(f"{name + ':':<21}{value}", indent=2)


def _criteria(criteria: Sequence[Criterion]) -> Iterator[Line]:
    if criteria:
        met = sum(one.state == "met" for one in criteria)
        yield Line(f"Success criteria: {met} of {len(criteria)} met", "heading")
    for one in criteria:
        yield Line(f"{one.state + ':':<14}{one.name}: {one.figure}", STATE_ROLES[one.state], 2)


def _metrics(progress: Progress) -> Iterator[Line]:
    """What observing cost."""
    took, wall = progress.metrics_seconds, progress.worker_seconds
    if took and wall > 0:
        shares = [f"{level} {took[level] / wall:.1%}" for level in sorted(took, reverse=True)]
        yield Line(f"Metrics took of the workers' wall time: {', '.join(shares)}")


def _too_many_failures(progress: Progress) -> Iterator[Line]:
    allowed = progress.config.get("max_failed_fraction")
    end = progress.finished
    if end is None or not end.failed or not isinstance(allowed, int | float):
        return
    if end.failed > allowed * end.trials:
        yield Line(
            f"{end.failed} of {words.counted(end.trials, 'trial')} failed, more than the allowed "
            f"share of {allowed:g}. The results file lists each with its reason; "
            f"max_failed_fraction is the limit.",
            "failure",
        )


def _inside(path: Path, directory: Path) -> Path:
    return path.relative_to(directory) if path.is_relative_to(directory) else path
