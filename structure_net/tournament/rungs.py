"""A generation in segments: at each rung all its trials wait for the last, the better half go on.

What happens depends on stored pauses alone, so workers, cohorts, kills and resumes change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from structure_net.evolution import Evolution
from structure_net.executors import Executor
from structure_net.schema import Event, Segment, Trial, TrialFailed, TrialResult, TrialStopped
from structure_net.store import History


class Rungs:
    """One generation's way through its rungs. `history` must take in each event that `train`
    yields before the next one is asked for."""

    def __init__(
        self, evolution: Evolution, executor: Executor, history: History, networks: Path
    ) -> None:
        self._evolution = evolution
        self._executor = executor
        self._history = history
        self._networks = networks
        self._ends = (0, *evolution.config.rung_epochs)

    def train(self, trials: Sequence[Trial]) -> Iterator[Event | None]:
        """Train what has no outcome yet; afterwards every trial has one in the history."""
        running = list(trials)
        for first, end in pairwise(self._ends):
            yield from self._train(running, Segment(first_epoch=first, end_epoch=end))
            ranked = self._ranked(running, end)
            staying = {result.number for result in ranked[: (len(ranked) + 1) // 2]}
            yield from self._stop(ranked, staying, end)
            running = [trial for trial in running if trial.number in staying]
            self._sweep(trials, end, staying)
        yield from self._train(running, Segment(first_epoch=self._ends[-1]))
        self._sweep(trials, self._ends[-1], set())

    def _train(self, trials: Sequence[Trial], segment: Segment) -> Iterator[Event | None]:
        """The trials' epochs of a segment, where they have neither outcome nor the pause at its
        end. One whose saved state is gone or damaged goes through its earlier segments again."""
        first, end, history = segment.first_epoch, segment.end_epoch, self._history
        missing = [
            trial
            for trial in trials
            if trial.number not in history.outcomes and (trial.number, end) not in history.paused
        ]
        lost = [trial for trial in missing if first and not self._intact(trial.number, first)]
        earlier = [epochs for epochs in self._ends if epochs <= first]
        for begin, stop in pairwise(earlier):
            again = Segment(first_epoch=begin, end_epoch=stop)
            yield from self._run(lost, again)
        yield from self._run(missing, segment)

    def _run(self, trials: Sequence[Trial], segment: Segment) -> Iterator[Event | None]:
        history = self._history
        left = [trial for trial in trials if trial.number not in history.outcomes]
        if not left:
            return
        for event in self._executor.run(left, dict(history.attempts), segment):
            yield self._charged(event) if isinstance(event, TrialFailed) else event

    def _charged(self, failed: TrialFailed) -> TrialFailed:
        """A trial that dies with its worker tells no cost; that of its pauses is known."""
        pauses = self._history.paused.items()
        spent = [pause.result.cost for (number, _), pause in pauses if number == failed.trial]
        return failed.model_copy(update={"cost": max([failed.cost, *spent])})

    def _ranked(self, trials: Sequence[Trial], end: int) -> list[TrialResult]:
        """What reached the rung, best first. The others failed on the way."""
        paused = self._history.paused
        reached = [paused[one.number, end] for one in trials if (one.number, end) in paused]
        return self._evolution.ranked([event.result for event in reached])

    def _stop(
        self, ranked: Sequence[TrialResult], staying: set[int], end: int
    ) -> Iterator[TrialStopped]:
        for place, result in enumerate(ranked, start=1):
            if result.number not in staying and result.number not in self._history.results:
                yield TrialStopped(
                    generation=result.trial.generation,
                    trial=result.number,
                    step=end,
                    result=result,
                    rank=place,
                    entrants=len(ranked),
                )

    def _intact(self, number: int, epochs: int) -> bool:
        """Whether the state to go on from is the one that was acknowledged."""
        from structure_net.training import paused_file, state_sha256

        found = state_sha256(paused_file(self._networks, number, epochs))
        return found == self._history.paused[number, epochs].state_sha256

    def _sweep(self, trials: Sequence[Trial], end: int, staying: set[int]) -> None:
        """Delete states that nobody goes on from: of these trials all up to this rung but those
        of `staying`. States of later rungs and generations may be there when a run is taken up
        again."""
        from structure_net.training import paused_files

        own = {trial.number for trial in trials}
        for number, epochs, path in paused_files(self._networks):
            done = epochs < end or (epochs == end and number not in staying)
            if number in own and done:
                path.unlink(missing_ok=True)
