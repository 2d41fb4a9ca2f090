"""How far a run is, as its events tell it, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from structure_net.reporting.words import counted, rough
from structure_net.schema import (
    AttemptLost,
    ChampionEvaluated,
    EpochFinished,
    Event,
    GenerationFinished,
    GenerationStarted,
    MetricsMeasured,
    Performer,
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
class Running:
    """A trial that a worker is training, with its last epoch."""

    number: int
    start: TrialStarted
    last: EpochFinished | None = None

    @property
    def epochs_done(self) -> int:
        return (self.start.step or 0) if self.last is None else self.last.epoch + 1

    @property
    def share(self) -> float:
        """The part of its epochs that is done, in [0, 1]."""
        return min(self.epochs_done / max(self.start.epochs, 1), 1.0)


@dataclass(frozen=True)
class Estimate:
    """Time left, and the number of ended trials that it was computed from."""

    seconds: float
    trials: int

    def __str__(self) -> str:
        return f"about {rough(self.seconds)} left, from {counted(self.trials, 'trial')}"


class Progress:
    """The state behind every line. `generation` counts from 0; `clock` gives seconds.

    `ended` and `failed` count the current generation's trials, `all_ended` and `all_failed` the
    run's. `planned` is None until a GenerationStarted was read. `metrics_seconds` is the time that
    measuring took in the search, by level, `worker_seconds` the wall time of all its workers.
    """

    def __init__(self, generations: int, epochs: int, clock: Callable[[], float]) -> None:
        self.generations = generations
        self.epochs = epochs
        self.config: Mapping[str, Any] = {}
        self.generation: int | None = None
        self.population = 0
        self.planned: int | None = None
        self.ended = self.failed = self.all_ended = self.all_failed = 0
        self.running: dict[int, Running] = {}
        self.last_result: TrialResult | None = None
        self.retraining = False
        self.summary: GenerationFinished | None = None
        self.performers: dict[int, Performer] = {}
        self.tested: ChampionEvaluated | None = None
        self.finished: TournamentFinished | None = None
        self.metrics_seconds: dict[str, float] = {}
        self.worker_seconds = 0.0
        self._clock = clock
        self._outcomes: set[int] = set()
        self._begun: float | None = None
        self._measured = 0
        self._ended_before_resume: int | None = None

    def read(self, event: Event) -> None:
        """Take one event in; kinds that say nothing about progress are ignored."""
        match event:
            case TournamentStarted():
                self.config = event.config
            case TournamentResumed():
                self._resume(event)
            case GenerationStarted():
                self._start_generation(event)
            case TrialStarted():
                self._start_trial(event)
            case EpochFinished() if event.trial in self.running:
                self.running[event.trial].last = event
            case MetricsMeasured() if not self.retraining:
                before = self.metrics_seconds.get(event.level, 0.0)
                self.metrics_seconds[event.level] = before + event.seconds
            case AttemptLost() if event.trial is not None:
                self.running.pop(event.trial, None)
            case TrialPaused() if event.trial is not None:
                self.running.pop(event.trial, None)
            case TrialStopped() if event.trial is not None:
                self._end_trial(event.trial, failed=False)
            case TrialFinished():
                self.last_result = event.result
                self._end_trial(event.result.number, failed=False)
            case TrialFailed() if event.trial is not None:
                self._end_trial(event.trial, failed=True)
            case GenerationFinished():
                self.running.clear()
                self.summary = event
                self.worker_seconds += event.duration * event.capacity
                self.performers = {one.id: one for one in event.top_performers}
            case RetrainingStarted():
                self.retraining = True
                self.planned, self.failed = len(event.trials), 0
                self.ended = len(self._outcomes.intersection(event.trials))
            case ChampionEvaluated():
                self.tested = event
            case TournamentFinished():
                self.finished = event

    @property
    def generation_label(self) -> str:
        """`2/10`: people count generations from 1."""
        return f"{(self.generation or 0) + 1}/{self.generations}"

    @property
    def stage(self) -> str:
        """`Generation 2/10`, or that the champion is trained again."""
        return "Retraining" if self.retraining else f"Generation {self.generation_label}"

    @property
    def done_label(self) -> str:
        """`3/16`, or `3` while the number of this generation's trials is not known."""
        return f"{self.ended}" if self.planned is None else f"{self.ended}/{self.planned}"

    @property
    def waiting(self) -> int | None:
        """Trials of this generation that no worker has taken up."""
        if self.planned is None:
            return None
        return max(self.planned - self.ended - len(self.running), 0)

    def shares(self) -> float:
        """The trials in training, each counted by the share of its epochs that is done."""
        return sum(one.share for one in self.running.values())

    def time_left(self) -> Estimate | None:
        """Trials left over the pace since the first start of this process.

        A running trial counts by its share of epochs, on both sides, so that workers in parallel
        need no model. None before the first trial has ended or when nothing is left.
        """
        left = self._trials_left()
        if self._begun is None or not self._measured or left is None or left <= 0:
            return None
        pace = (self._measured + self.shares()) / max(self._clock() - self._begun, 1e-9)
        return Estimate(left / pace, self._measured)

    def _trials_left(self) -> float | None:
        if self.planned is None or self.generation is None:
            return None
        here = max(self.planned - self.ended - self.shares(), 0.0)
        if self.retraining:
            return here
        again = self.config.get("retrain")
        here += again if isinstance(again, int) else 0
        return here + max(self.generations - 1 - self.generation, 0) * self._trials_later()

    def _trials_later(self) -> int:
        """New trials of a coming generation: the first one has no survivors to carry over."""
        if self.generation or not self.population:
            return self.planned or 0
        given = self.config.get("survivors_per_generation")
        survivors = given if isinstance(given, int) else max(1, self.population // 4)
        return max(self.population - survivors, 0)

    def _resume(self, event: TournamentResumed) -> None:
        self.running.clear()
        self.all_ended = event.finished_trials
        self._begun, self._measured = None, 0
        self._ended_before_resume = event.finished_trials

    def _start_generation(self, event: GenerationStarted) -> None:
        self.generation = event.generation or 0
        self.population, self.planned = event.population_size, event.new_trials
        self.ended = self.failed = 0
        self.running.clear()
        if self._ended_before_resume is not None:
            earlier = self.population + (self.generation - 1) * self.planned
            done = self._ended_before_resume - (earlier if self.generation else 0)
            self.ended = min(max(done, 0), self.planned)
            self._ended_before_resume = None

    def _start_trial(self, event: TrialStarted) -> None:
        if event.trial is None:
            return
        later = event.generation is not None and event.generation != self.generation
        if later and not self.retraining:
            self.generation, self.planned = event.generation, None
            self.ended = self.failed = 0
        if self._begun is None:
            self._begun = self._clock()
        self.running[event.trial] = Running(event.trial, event)

    def _end_trial(self, number: int, *, failed: bool) -> None:
        """Count an outcome once: the first one of a trial is the one that is stored."""
        self.running.pop(number, None)
        if number in self._outcomes:
            return
        self._outcomes.add(number)
        self.ended += 1
        self.all_ended += 1
        self._measured += 1
        self.failed += failed
        self.all_failed += failed
