"""Promotions at rungs against brute force, over scripted trainings that end or die anywhere."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structure_net.evolution import Evolution
from structure_net.executors import Executor
from structure_net.schema import (
    WHOLE,
    Event,
    Segment,
    Trial,
    TrialFinished,
    TrialPaused,
    TrialStopped,
)
from structure_net.store import History
from structure_net.tournament.rungs import Rungs
from structure_net.training import paused_file, state_sha256
from tests.evolution.worlds import config_of, failure_of, result_of

EPOCHS = 8


class Died(Exception):
    """The process of the run is gone."""


class Scripted(Executor):
    """Trains nothing: accuracies and failures come from tables, in a shuffled order. It dies
    after `lives` events; a state file holds the epochs done."""

    capacity = 2

    def __init__(
        self,
        networks: Path,
        accuracies: Mapping[tuple[int, int], float],
        fails: Mapping[int, int],
        draw: random.Random,
    ) -> None:
        self.networks = networks
        self.accuracies = accuracies
        self.fails = fails
        self.draw = draw
        self.lives = math.inf
        self.asked: list[tuple[int, int, int | None]] = []

    def run(
        self,
        trials: Sequence[Trial],
        attempts: Mapping[int, int] | None = None,
        segment: Segment = WHOLE,
    ) -> Iterator[Event | None]:
        for trial in self.draw.sample(list(trials), len(trials)):
            self.asked.append((trial.number, segment.first_epoch, segment.end_epoch))
            yield self._outcome(trial, segment)
            self.lives -= 1
            if self.lives <= 0:
                raise Died

    def _outcome(self, trial: Trial, segment: Segment) -> Event:
        if segment.first_epoch:
            state = paused_file(self.networks, trial.number, segment.first_epoch)
            assert state.read_text() == str(segment.first_epoch)
        end = segment.end_epoch or EPOCHS
        if segment.first_epoch <= self.fails.get(trial.number, EPOCHS) < end:
            return failure_of(trial)
        place = {"generation": 0, "trial": trial.number, "attempt": 1}
        stopped = segment.end_epoch
        result = result_of(trial, self.accuracies[trial.number, end], stopped_after=stopped)
        if segment.end_epoch is None:
            return TrialFinished(**place, result=result, worker="x")
        path = paused_file(self.networks, trial.number, end)
        path.write_text(str(end))
        sha256 = state_sha256(path) or ""
        return TrialPaused(**place, step=end, result=result, state_sha256=sha256, worker="x")

    def close(self) -> None:
        pass


def generation(
    folder: Path, seed: int, count: int, rungs: int
) -> tuple[Evolution, list[Trial], Scripted]:
    draw = random.Random(seed)
    config = config_of(
        tournament_size=count, rungs=rungs, epochs_per_generation=EPOCHS, fitness="accuracy"
    )
    evolution = Evolution(config, 64, 10)
    accuracies = {
        # Few values, so that ties are common.
        (number, epoch): draw.randrange(6) / 10
        for number in range(count)
        for epoch in range(1, EPOCHS + 1)
    }
    fails = {number: draw.randrange(EPOCHS) for number in range(count) if draw.random() < 0.2}
    return evolution, evolution.ask(), Scripted(folder, accuracies, fails, draw)


def brute_force(
    trials: Sequence[Trial], script: Scripted, ends: Sequence[int]
) -> tuple[dict[int, int], set[int]]:
    """(trial -> epochs after which it is stopped, trials that finish), by counting betters."""
    running, stopped = [trial.number for trial in trials], {}
    genomes = [trial.genome for trial in trials]
    for end in ends:
        running = [one for one in running if script.fails.get(one, EPOCHS) >= end]

        def key(one: int, end: int = end) -> tuple[float, int, str]:
            own = genomes[one]
            return (-script.accuracies[one, end], sum(own.counts), own.id)

        entrants = list(running)
        for one in entrants:
            betters = sum(key(other) < key(one) for other in entrants)
            if betters >= math.ceil(len(entrants) / 2):
                stopped[one] = end
                running.remove(one)
    return stopped, {one for one in running if script.fails.get(one, EPOCHS) >= EPOCHS}


def folded(rungs: Rungs, trials: list[Trial], history: History) -> list[Event]:
    """Events of a generation, each taken in before the next is asked for."""
    found = []
    for event in rungs.train(trials):
        assert event is not None
        history.add(event)
        found.append(event)
    return found


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 17),
    rungs=st.integers(0, 4),
    lives=st.lists(st.integers(1, 12), max_size=4),
)
def test_promotions_are_those_of_brute_force_however_often_the_run_dies(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, rungs: int, lives: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("networks")
    evolution, trials, script = generation(folder, seed, count, rungs)
    ends = evolution.config.rung_epochs
    history = History()
    for life in [*lives, math.inf]:
        script.lives = life
        try:
            folded(Rungs(evolution, script, history, folder), trials, history)
        except Died:
            continue
        break
    stopped, finished = brute_force(trials, script, ends)
    results = history.results
    assert {one: results[one].stopped_after for one in stopped} == stopped
    assert {one for one in results if results[one].stopped_after is None} == finished
    for number, failed in history.failures.items():
        paused = any(script.fails[number] >= end for end in ends)
        cost = 6 * sum(trials[number].genome.counts)
        assert failed.cost == (max(cost, 7) if paused else 7)
    assert set(history.outcomes) == set(range(count))
    assert not list(folder.iterdir())
    # No segment was trained twice: what is stored is not asked for again.
    assert len(set(script.asked)) == len(script.asked)


def test_ranks_are_told_and_the_better_half_of_an_odd_number_goes_on(tmp_path: Path) -> None:
    evolution, trials, script = generation(tmp_path, 0, 5, 1)
    script.fails = {}
    script.accuracies = {(one, epoch): one / 10 for one in range(5) for epoch in (4, EPOCHS)}
    history = History()
    events = folded(Rungs(evolution, script, history, tmp_path), trials, history)
    told = [
        (event.trial, event.rank, event.entrants)
        for event in events
        if isinstance(event, TrialStopped)
    ]
    assert told == [(1, 4, 5), (0, 5, 5)]


def test_states_of_a_later_generation_stay_while_a_stored_one_is_replayed(tmp_path: Path) -> None:
    evolution, trials, script = generation(tmp_path, 0, 5, 2)
    history = History()
    folded(Rungs(evolution, script, history, tmp_path), trials, history)
    history.paused.clear()  # as the generation's last event does
    later = paused_file(tmp_path, 7, 2)
    later.write_text("2")
    assert folded(Rungs(evolution, script, history, tmp_path), trials, history) == []
    assert list(tmp_path.iterdir()) == [later]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("2 ")])
def test_a_trial_whose_state_is_lost_goes_through_its_segments_again(
    spoil: object, tmp_path: Path
) -> None:
    evolution, trials, script = generation(tmp_path, 1, 4, 2)
    script.fails = {}
    history = History()
    script.lives = 6  # the first segment of four, the second of two
    with pytest.raises(Died):
        folded(Rungs(evolution, script, history, tmp_path), trials, history)
    (left,) = [path for path in tmp_path.iterdir() if path.name.endswith(".4.paused")][:1]
    spoil(left)  # type: ignore[operator]
    number = int(left.name.split(".")[0])
    script.lives, script.asked = math.inf, []
    folded(Rungs(evolution, script, history, tmp_path), trials, history)
    stopped, finished = brute_force(trials, script, (2, 4))
    if number in finished:
        assert script.asked == [(number, 0, 2), (number, 2, 4), (number, 4, None)]
    assert {one for one, result in history.results.items() if not result.stopped_after} == finished
    assert set(stopped) | finished == set(range(4))
