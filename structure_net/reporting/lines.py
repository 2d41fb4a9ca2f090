"""What each kind of event says to a person: one function a kind, in one table.

A new kind is one more `@lines.register` function. Roles decide in which mode a line is shown:
`progress` is left to the live rows where there are any, `quiet` shows `failure` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Literal

from structure_net.reporting import words
from structure_net.reporting.progress import Progress
from structure_net.schema import (
    AttemptLost,
    ChampionEvaluated,
    EpochFinished,
    Event,
    GenerationFinished,
    GenerationStarted,
    GrowthAttempted,
    MemoryCleaned,
    MetricsMeasured,
    MicroBatchReduced,
    Performer,
    RetrainingStarted,
    TournamentFinished,
    TournamentResumed,
    TournamentStarted,
    TrialFailed,
    TrialFinished,
    TrialPaused,
    TrialStarted,
    TrialStopped,
)

LONGEST_ARCHITECTURE = 36  # fits on one line of a terminal of 40 columns

Role = Literal["heading", "text", "good", "progress", "warning", "failure"]


@dataclass(frozen=True)
class Line:
    """One line before it is cleaned and wrapped; a `whole` line is never wrapped (to be copied)."""

    text: str
    role: Role = "text"
    indent: int = 0
    whole: bool = False


@dataclass(frozen=True)
class Ranking:
    """The best of a generation, best first."""

    performers: tuple[Performer, ...]


Shown = Line | Ranking


@singledispatch
def lines(event: Event, _progress: Progress) -> Sequence[Shown]:
    """What a person reads of `event`, which the progress has read already.

    A kind that is not in the table says its name and place.
    """
    where = [f"generation {event.generation + 1}"] if event.generation is not None else []
    where += [f"trial {event.trial}"] if event.trial is not None else []
    return [Line(event.kind + (f" ({', '.join(where)})" if where else ""))]


@lines.register
def _(event: TournamentStarted, progress: Progress) -> Sequence[Shown]:
    data = event.dataset
    population = event.config.get("tournament_size")
    sizes = [
        f"{population} competitors" if population is not None else "",
        words.counted(progress.generations, "generation"),
        f"{words.counted(progress.epochs, 'epoch')} each",
        f"batch size {event.batch_size}",
        f"engine {event.engine}",
        f"seed {event.config.get('seed', 'unknown')}",
    ]
    shown = [
        Line(f"Tournament on {data.name}", "heading"),
        Line(
            f"data: {data.train_samples:,} training and {data.validation_samples:,} validation "
            f"samples, {len(data.classes)} classes, {data.verified}",
            indent=2,
        ),
        Line(", ".join(part for part in sizes if part), indent=2),
    ]
    if event.without:
        shown.append(Line(f"without: {', '.join(event.without)}", "warning", 2))
    if event.environment.get("fault"):
        shown.append(Line(f"fault injected: {event.environment['fault']}", "warning", 2))
    return shown


@lines.register
def _(event: TournamentResumed, _progress: Progress) -> Sequence[Shown]:
    done = words.counted(event.finished_trials, "trial")
    first = Line(f"Resumed (start {event.start_number}): {done} already finished", "heading")
    return [first, *(Line(f"warning: {text}", "warning", 2) for text in event.warnings)]


@lines.register
def _(event: GenerationStarted, progress: Progress) -> Sequence[Shown]:
    carried = f" ({len(event.carried)} carried over)" if event.carried else ""
    count = words.counted(event.population_size, "competitor")
    return [Line(f"GENERATION {progress.generation_label}: evaluating {count}{carried}", "heading")]


@lines.register
def _(event: TrialStarted, _progress: Progress) -> Sequence[Shown]:
    again = f" again (attempt {event.attempt})" if event.attempt and event.attempt > 1 else ""
    begun = (
        f"goes on after {words.counted(event.step, 'epoch')}" if event.step else f"started{again}"
    )
    return [
        Line(
            f"trial {event.trial} {begun} on {event.worker} ({event.device}): "
            f"{words.architecture(event.architecture, LONGEST_ARCHITECTURE)}, {event.strategy}, "
            f"batch {event.batch_size}, {event.active_parameters:,} params",
            "progress",
        )
    ]


@lines.register
def _(_event: EpochFinished, _progress: Progress) -> Sequence[Shown]:
    return []  # the live rows show epochs; in a log they would be thousands of lines


@lines.register
def _(_event: MetricsMeasured, _progress: Progress) -> Sequence[Shown]:
    return []  # dozens of numbers; `show` has them


@lines.register
def _(event: GrowthAttempted, _progress: Progress) -> Sequence[Shown]:
    record = event.record
    place = f"trial {event.trial} at epoch {record.epoch + 1}, growth by {record.rule}"
    if record.outcome != "grown":
        repaired = "repaired only, " if record.outcome == "repaired" else ""
        return [Line(f"{place}: {repaired}{words.brief(record.reason, 80)}", "progress")]
    before, after = (
        words.architecture(one[1:-1], LONGEST_ARCHITECTURE)
        for one in (record.architecture_before, record.architecture_after)
    )
    added = record.connections_after - record.connections_before
    accuracies = [words.accuracy(one) for one in (record.accuracy_before, record.accuracy_after)]
    return [
        Line(
            f"{place} successful: {before} -> {after}, {added:+,} connections, "
            f"accuracy {' -> '.join(accuracies)}",
            "progress",
        )
    ]


@lines.register
def _(event: MicroBatchReduced, _progress: Progress) -> Sequence[Shown]:
    why = "a whole batch would not fit" if event.planned else "out of memory"
    wanted = f", {event.wanted_bytes / 1e6:,.0f} MB wanted" if event.wanted_bytes else ""
    return [
        Line(
            f"trial {event.trial} takes {event.after} samples at a time instead of {event.before}, "
            f"with the same updates: {why}{wanted}",
            "warning",
        )
    ]


@lines.register
def _(_event: MemoryCleaned, _progress: Progress) -> Sequence[Shown]:
    return []  # housekeeping; in a log it would be many lines


@lines.register
def _(_event: TrialPaused, _progress: Progress) -> Sequence[Shown]:
    return []  # what became of it is told at the rung


@lines.register
def _(event: TrialStopped, progress: Progress) -> Sequence[Shown]:
    result = event.result
    return [
        Line(
            f"trial {result.number} stopped early after "
            f"{words.counted(result.stopped_after or 0, 'epoch')}: "
            f"accuracy {words.accuracy(result.validation_accuracy)}, rank {event.rank} of "
            f"{event.entrants} ({_standing(progress)})",
            "progress",
        )
    ]


@lines.register
def _(event: TrialFinished, progress: Progress) -> Sequence[Shown]:
    result = event.result
    return [
        Line(
            f"trial {result.number} finished: accuracy {words.accuracy(result.validation_accuracy)}"
            f", loss {words.loss(result.validation_loss)}, {words.duration(result.seconds)} "
            f"({_standing(progress)})",
            "progress",
        )
    ]


@lines.register
def _(event: TrialFailed, _progress: Progress) -> Sequence[Shown]:
    epoch = f" in epoch {event.epoch}" if event.epoch is not None else ""
    reason = words.brief(event.reason, words.LONGEST_REASON)
    kind = event.failure.replace("_", " ")
    return [Line(f"trial {event.trial} FAILED, {kind}{epoch}: {reason}", "failure")]


@lines.register
def _(event: AttemptLost, _progress: Progress) -> Sequence[Shown]:
    trial = "a trial" if event.trial is None else f"trial {event.trial}"
    kind = event.failure.replace("_", " ")
    charge = "charged to the trial" if event.charged else "not charged to the trial"
    reason = words.brief(event.reason, words.LONGEST_REASON)
    return [Line(f"{trial} lost an attempt, {kind} ({charge}): {reason}", "failure")]


@lines.register
def _(event: GenerationFinished, progress: Progress) -> Sequence[Shown]:
    number = (event.generation or 0) + 1
    failed = f"{event.failed} failed" if event.failed else "none failed"
    left = progress.time_left()
    summary = Line(
        f"Generation {number}/{progress.generations} finished: "
        f"best fitness {words.fitness(event.best_fitness)}, "
        f"mean {words.fitness(event.avg_fitness)}, {failed}, {words.duration(event.duration)}"
        + (f"; {left}" if left else ""),
        "good",
    )
    shown: list[Shown] = [summary]
    if event.lost:
        text = f"generation {number} is lost: no new trial has a result, the parents go on"
        shown.append(Line(text, "failure"))
    return [*shown, Ranking(event.top_performers)] if event.top_performers else shown


@lines.register
def _(event: RetrainingStarted, _progress: Progress) -> Sequence[Shown]:
    count = words.counted(len(event.trials), "fresh seed")
    return [Line(f"RETRAINING: the champion, trial {event.champion}, again on {count}", "heading")]


@lines.register
def _(event: ChampionEvaluated, _progress: Progress) -> Sequence[Shown]:
    again = [Line(f"retrained: {words.retraining_text(event)}", "good")] if event.retraining else []
    return [
        Line(
            f"champion on the test part, read once: accuracy {words.accuracy(event.test_accuracy)}"
            f", {event.test_samples:,} samples "
            f"(validation accuracy {words.accuracy(event.validation_accuracy)})",
            "good",
        ),
        *again,
    ]


@lines.register
def _(event: TournamentFinished, _progress: Progress) -> Sequence[Shown]:
    failed = f"{event.failed} failed" if event.failed else "none failed"
    return [
        Line(
            f"Tournament finished: {words.counted(event.trials, 'trial')}, {failed}, "
            f"{words.duration(event.seconds)}, "
            f"{event.experiments_per_second:.3g} experiments per second",
            "heading",
        )
    ]


def _standing(progress: Progress) -> str:
    """`3/16, about 2 min left, from 3 trials`."""
    left = progress.time_left()
    return f"{progress.done_label}, {left}" if left else progress.done_label
