"""A run as seen from its events: the one view of console, results file, `show` and resume."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from structure_net.errors import DataError
from structure_net.schema import (
    AttemptLost,
    ChampionEvaluated,
    EpochFinished,
    Event,
    GenerationFinished,
    MetricsLevel,
    MetricsMeasured,
    Resolved,
    RetrainingStarted,
    TournamentFinished,
    TournamentResumed,
    TournamentStarted,
    TrialFailed,
    TrialFinished,
    TrialPaused,
    TrialResult,
    TrialStarted,
    TrialStopped,
)


@dataclass
class History:
    """A fold over events. `running` are trials that started and have no outcome yet; `paused`
    holds, by trial and epochs done, the pauses of the generation that is going on;
    `worker_peaks` holds the largest resident bytes of each worker, `device_peaks` the largest
    allocated ones of its CUDA device; `metrics` the last measurement of each trial,
    `metrics_seconds` the time that measuring took in the search."""

    started: TournamentStarted | None = None
    generations: list[GenerationFinished] = field(default_factory=list)
    results: dict[int, TrialResult] = field(default_factory=dict)
    failures: dict[int, TrialFailed] = field(default_factory=dict)
    running: dict[int, TrialStarted] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    paused: dict[tuple[int, int], TrialPaused] = field(default_factory=dict)
    last_epoch: dict[int, EpochFinished] = field(default_factory=dict)
    metrics: dict[int, MetricsMeasured] = field(default_factory=dict)
    metrics_seconds: dict[MetricsLevel, float] = field(default_factory=dict)
    worker_peaks: dict[str, int] = field(default_factory=dict)
    device_peaks: dict[str, int] = field(default_factory=dict)
    retraining: RetrainingStarted | None = None
    champion: ChampionEvaluated | None = None
    finished: TournamentFinished | None = None
    start_number: int = 1
    stored_config: Resolved | None = None

    @property
    def config(self) -> Resolved:
        """The configuration the run was started with, with origins."""
        if self.stored_config is None:
            raise DataError("This run stored no configuration: it ended before it began.")
        return self.stored_config

    @property
    def outcomes(self) -> dict[int, TrialResult | TrialFailed]:
        """Every trial that needs no more work."""
        return {**self.results, **self.failures}

    @property
    def retrained(self) -> dict[int, TrialResult | TrialFailed]:
        """The outcomes among them that are the champion's retrainings, no part of the search."""
        numbers = self.retraining.trials if self.retraining is not None else ()
        outcomes = self.outcomes
        return {number: outcomes[number] for number in numbers if number in outcomes}

    @property
    def cost(self) -> int:
        """The ledger of the run so far: all generations that ended, and the retrainings."""
        search = sum(event.cost for event in self.generations)
        return search + sum(outcome.cost for outcome in self.retrained.values())

    def lineage_epochs(self, result: TrialResult) -> int:
        """Epochs behind the trial's weights: its own, and those of every trial whose network it and
        its ancestors took over."""
        epochs = result.trial.epochs
        while result.trial.inherits is not None:
            result = self.results[result.trial.inherits.primary]
            epochs += result.trial.epochs
        return epochs

    def add(self, event: Event) -> None:
        """Take one more event in; the order is the store's."""
        match event:
            case TournamentStarted():
                self.started = event
            case TournamentResumed():
                self.start_number = event.start_number
                self.running.clear()
            case TrialStarted(trial=int(number)):
                self.running[number] = event
                self.attempts[number] = max(event.attempt or 1, self.attempts.get(number, 0))
            case EpochFinished(trial=int(number)):
                self.last_epoch[number] = event
            case MetricsMeasured(trial=int(number)):
                self._add_metrics(number, event)
            case TrialPaused(trial=int(number)):
                self.paused[number, event.result.stopped_after or 0] = event
                self.running.pop(number, None)
            case TrialStopped():
                self.results[event.result.number] = event.result
            case TrialFinished():
                self.results[event.result.number] = event.result
                _raise(self.worker_peaks, event.worker, event.result.peak_bytes)
                _raise(self.device_peaks, event.worker, event.result.device_peak_bytes)
                self.running.pop(event.result.number, None)
            case TrialFailed(trial=int(number)):
                self.failures[number] = event
                self.running.pop(number, None)
            case AttemptLost(trial=int(number)):
                self.running.pop(number, None)
            case GenerationFinished():
                self.generations.append(event)
                self.last_epoch.clear()
                self.paused.clear()
            case RetrainingStarted():
                self.retraining = event
            case ChampionEvaluated():
                self.champion = event
            case TournamentFinished():
                self.finished = event
            case _:
                pass

    def _add_metrics(self, number: int, event: MetricsMeasured) -> None:
        self.metrics[number] = event
        if self.retraining is None:
            before = self.metrics_seconds.get(event.level, 0.0)
            self.metrics_seconds[event.level] = before + event.seconds

    @property
    def metrics_shares(self) -> dict[MetricsLevel, float] | None:
        """Share of the workers' wall time that measurements of each level took in the generations
        that ended; None before the first or without metrics."""
        wall = sum(event.duration * event.capacity for event in self.generations)
        if wall <= 0 or not self.metrics_seconds:
            return None
        return {level: took / wall for level, took in sorted(self.metrics_seconds.items())}


def _raise(peaks: dict[str, int], worker: str, value: int) -> None:
    if value:
        peaks[worker] = max(value, peaks.get(worker, 0))


def replay(events: Iterable[Event]) -> History:
    """The history of a stream of events."""
    history = History()
    for event in events:
        history.add(event)
    return history
