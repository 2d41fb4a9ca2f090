"""The interface of an executor: trials in, events out, every trial exactly one outcome."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from structure_net.engine import cohort_bytes, portions
from structure_net.executors.memory import UNLIMITED, Allowance
from structure_net.genome import Genome, connection_count
from structure_net.schema import (
    OUTSIDE_CAUSES,
    WHOLE,
    AttemptLost,
    Cohort,
    Event,
    Failure,
    Segment,
    Trial,
    TrialFailed,
)

EngineChoice = Callable[[Genome], str]

# A cohort shares the preparation of its batches, for `native` a fraction of what it is for the
# others; larger ones balance worse over workers.
LARGEST_COHORT = {"native": 4, "csr": 8, "dense": 8}

# Nanoseconds of a training step at batch 256 on one core with AMX: always, for each connection, for
# each possible connection. Only who trains what, and when, depends on them.
STEP_WORK = {
    "native": (200_000, 24.0, 0.0),
    "csr": (1_800_000, 64.0, 0.0),
    "dense": (1_300_000, 9.0, 0.9),
}
MOST_CHARGES = 3
OUTCOMES = frozenset({"TrialFinished", "TrialFailed", "TrialPaused"})


class Executor(ABC):
    """Runs trials somewhere. Results depend neither on where, nor on how many at a time."""

    capacity: int

    @abstractmethod
    def run(
        self,
        trials: Sequence[Trial],
        attempts: Mapping[int, int] | None = None,
        segment: Segment = WHOLE,
    ) -> Iterator[Event | None]:
        """Events of these trials, in no promised order; None when nothing happened for a moment.

        `attempts` holds how often a trial was started before, `segment` the epochs to train now.
        Closing the generator cancels.
        """

    @abstractmethod
    def close(self) -> None:
        """End whatever still runs; an executor can be closed twice."""


def deal(
    trials: Sequence[Trial],
    engine_of: EngineChoice,
    capacity: int,
    allowance: Allowance = UNLIMITED,
    segment: Segment = WHOLE,
) -> list[Cohort]:
    """Cohorts of one engine each, the most expensive first, within what a worker may use. The
    trials of a cohort share their generation, and with it their batches.

    On processors they are small enough to keep all workers busy. Stacked on a device, a larger one
    costs hardly more time: each worker gets its part of the generation, as far as that fits.
    A trial that fits no worker, not even one sample at a time, is in none of them.
    """
    cohorts = []
    for (engine, _), group in _by_engine(trials, engine_of).items():
        if allowance.on_device:
            largest = -(-len(group) // capacity)
        else:
            largest = min(LARGEST_COHORT.get(engine, 1), max(1, len(trials) // (2 * capacity)))
        setting, genomes = allowance.setting(engine), [trial.genome for trial in group]
        for part in portions(genomes, setting, allowance.room, largest):
            chosen = tuple(group[place] for place in part.members)
            if part.micro_batch:
                micro_batch = _reduced(part.micro_batch, allowance)
                cohorts.append(_cohort(engine, chosen, micro_batch, segment))
    return sorted(cohorts, key=lambda cohort: -work_of(cohort))


def refused(
    trials: Sequence[Trial],
    cohorts: Sequence[Cohort],
    attempts: Mapping[int, int],
    engine_of: EngineChoice,
    allowance: Allowance,
) -> list[TrialFailed]:
    """The failure of each trial that `deal` left out: no worker can ever train it here."""
    dealt = {trial.number for cohort in cohorts for trial in cohort.trials}
    failures = []
    for trial in trials:
        if trial.number in dealt:
            continue
        wanted = cohort_bytes([trial.genome], allowance.setting(engine_of(trial.genome)), 1)
        reason = (
            f"training wants about {wanted / 1e6:,.0f} MB even one sample at a time, and "
            f"{max(allowance.room or 0, 0) / 1e6:,.0f} MB is what a worker may use; fewer workers "
            f"or processes, or a larger max_memory_per_gpu, leave more"
        )
        failures.append(_failed(trial, attempts.get(trial.number, 0) + 1, "out_of_memory", reason))
    return failures


def _reduced(micro_batch: int, allowance: Allowance) -> int | None:
    return None if micro_batch == allowance.batch_size else micro_batch


def _cohort(
    engine: str, trials: Sequence[Trial], micro_batch: int | None, segment: Segment
) -> Cohort:
    attempts = (1,) * len(trials)
    return Cohort(
        engine=engine,
        trials=tuple(trials),
        attempts=attempts,
        micro_batch=micro_batch,
        segment=segment,
    )


def _by_engine(
    trials: Sequence[Trial], engine_of: EngineChoice
) -> dict[tuple[str, int], list[Trial]]:
    """The trials of each engine and generation, the most expensive first."""
    ordered = sorted(trials, key=lambda trial: (-connection_count(trial.genome), trial.number))
    by_engine: dict[tuple[str, int], list[Trial]] = {}
    for trial in ordered:
        by_engine.setdefault((engine_of(trial.genome), trial.generation), []).append(trial)
    return by_engine


def work_of(cohort: Cohort) -> float:
    """How long a cohort trains, in nanoseconds a step times epochs: for comparisons only."""
    # An engine that is not known fails each of its trials, in the worker.
    always, connection, place = STEP_WORK.get(cohort.engine, STEP_WORK["native"])
    return sum(
        trial.epochs
        * (
            always
            + connection * connection_count(trial.genome)
            + place * sum(sources * units for sources, units in trial.genome.shapes)
        )
        for trial in cohort.trials
    )


class Desk:
    """The cohorts of one `run`: what waits, what is out, who was charged with what.

    Whoever loses a cohort of several has it split, so that one bad genome cannot charge the others;
    a trial is charged only for failing alone. Only outside causes are tried again.
    """

    def __init__(self, cohorts: Sequence[Cohort], attempts: Mapping[int, int]) -> None:
        self._waiting: deque[Cohort] = deque(cohorts)
        self._attempts = dict(attempts)
        self._charges: dict[int, int] = {}
        self._open = {trial.number for cohort in cohorts for trial in cohort.trials}

    @property
    def unfinished(self) -> bool:
        """Whether any trial still wants an outcome."""
        return bool(self._open)

    def take(self) -> Cohort | None:
        """The next cohort to run, its attempts counted; None while none waits."""
        if not self._waiting:
            return None
        cohort = self._waiting.popleft()
        for trial in cohort.trials:
            self._attempts[trial.number] = self._attempts.get(trial.number, 0) + 1
        attempts = tuple(self._attempts[trial.number] for trial in cohort.trials)
        return cohort.model_copy(update={"attempts": attempts})

    def note(self, event: Event) -> None:
        """An event of a running cohort; an outcome closes its trial, for now a pause too."""
        if event.kind in OUTCOMES and event.trial is not None:
            self._open.discard(event.trial)

    def lost(self, cohort: Cohort, failure: Failure, reason: str, details: str) -> list[Event]:
        """A cohort ended early: what that means for those of its trials without an outcome."""
        left = [trial for trial in cohort.trials if trial.number in self._open]
        if len(left) > 1:
            middle = (len(left) + 1) // 2
            for part in (left[middle:], left[:middle]):
                self._waiting.appendleft(_smaller(cohort, part))
            return [self._lost(trial, failure, reason, details, charged=False) for trial in left]
        return [
            event
            for trial in left
            for event in self._alone(cohort, trial, failure, reason, details)
        ]

    def _alone(
        self, cohort: Cohort, trial: Trial, failure: Failure, reason: str, details: str
    ) -> list[Event]:
        charges = self._charges[trial.number] = self._charges.get(trial.number, 0) + 1
        if failure in OUTSIDE_CAUSES and charges < MOST_CHARGES:
            self._waiting.appendleft(_smaller(cohort, [trial]))
            return [self._lost(trial, failure, reason, details, charged=True)]
        self._open.discard(trial.number)
        return [_failed(trial, self._attempts[trial.number], failure, reason, details)]

    def _lost(
        self, trial: Trial, failure: Failure, reason: str, details: str, *, charged: bool
    ) -> AttemptLost:
        return AttemptLost(
            generation=trial.generation,
            trial=trial.number,
            attempt=self._attempts[trial.number],
            failure=failure,
            reason=reason,
            details=details,
            charged=charged,
        )


def _failed(
    trial: Trial, attempt: int, failure: Failure, reason: str, details: str = ""
) -> TrialFailed:
    return TrialFailed(
        generation=trial.generation,
        trial=trial.number,
        attempt=attempt,
        step=trial.epochs + 1,
        genome=trial.genome,
        seed=trial.seed,
        parents=trial.parents,
        failure=failure,
        reason=reason,
        details=details,
    )


def _smaller(cohort: Cohort, trials: Sequence[Trial]) -> Cohort:
    return _cohort(cohort.engine, trials, cohort.micro_batch, cohort.segment)
