"""The estimate of the time left and the counts, against hand calculations."""

from __future__ import annotations

import pytest

from structure_net.reporting.progress import Progress
from structure_net.schema import Event, TournamentResumed
from tests.reporting import stream


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def read(progress: Progress, *events: Event) -> None:
    for event in events:
        progress.read(event)


def test_time_left_of_four_trials_on_two_workers() -> None:
    clock = Clock()
    progress = Progress(2, 10, clock)
    read(progress, stream.tournament_started(), stream.generation_started(0))
    clock.now += 100  # workers start: not part of the pace
    read(progress, *(stream.trial_started(number) for number in range(4)))
    assert progress.time_left() is None
    clock.now += 12
    read(progress, stream.trial_finished(0), stream.trial_finished(1))
    read(progress, stream.epoch_finished(2, 4), stream.epoch_finished(3, 4))
    # Done: 2 + 5/10 + 5/10 = 3 trials in 12 s. Left: 1 here, 4 - 1 survivor = 3 after: 4 trials.
    left = progress.time_left()
    assert left is not None
    assert left.seconds == pytest.approx(4 * 12 / 3)
    assert str(left) == "about 16 s left, from 2 trials"
    assert progress.done_label == "2/4"
    assert progress.waiting == 0


def test_survivors_given_in_the_configuration_shorten_later_generations() -> None:
    clock = Clock()
    progress = Progress(3, 10, clock)
    started = stream.tournament_started()
    config = {**started.config, "survivors_per_generation": 2}
    read(progress, started.model_copy(update={"config": config}), stream.generation_started(0))
    read(progress, *(stream.trial_started(number) for number in range(4)))
    clock.now += 8
    read(progress, *(stream.trial_finished(number) for number in range(4)))
    left = progress.time_left()
    assert left is not None
    assert left.seconds == pytest.approx(2 * 2 * 8 / 4)


def test_nothing_is_left_after_the_last_trial() -> None:
    clock = Clock()
    progress = Progress(1, 10, clock)
    read(progress, stream.generation_started(0))
    read(progress, *(stream.trial_started(number) for number in range(4)))
    clock.now += 8
    read(progress, *(stream.trial_finished(number) for number in range(4)))
    assert progress.time_left() is None


def test_a_trial_counts_once_whatever_is_told_of_it() -> None:
    progress = Progress(2, 10, Clock())
    read(progress, stream.generation_started(0), stream.trial_started(0), stream.trial_started(1))
    read(progress, stream.attempt_lost(1), stream.trial_started(1, attempt=2))
    read(progress, stream.trial_failed(1), stream.trial_failed(1), stream.trial_finished(1))
    assert (progress.ended, progress.failed, sorted(progress.running)) == (1, 1, [0])
    assert progress.waiting == 2


def test_resume_counts_what_was_done_and_measures_anew() -> None:
    clock = Clock()
    progress = Progress(2, 10, clock)
    resumed = TournamentResumed(start_number=2, finished_trials=5)
    read(progress, stream.tournament_started(), resumed, stream.generation_started(1))
    assert progress.done_label == "1/3"  # 4 of the five belong to the first generation
    read(progress, stream.trial_started(5, generation=1), stream.trial_started(6, generation=1))
    clock.now += 6
    read(progress, stream.trial_finished(5, 1))
    left = progress.time_left()
    assert left is not None
    assert (left.seconds, left.trials) == (pytest.approx(6.0), 1)
    assert progress.all_ended == 6


def test_events_out_of_place_change_nothing() -> None:
    progress = Progress(2, 10, Clock())
    read(progress, stream.epoch_finished(9, 3), Event(trial=3), stream.trial_started(2))
    assert sorted(progress.running) == [2]
    assert progress.done_label == "0"
    assert progress.time_left() is None
