"""One contract for every executor: each trial one outcome, failures told, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from structure_net.datasets import load
from structure_net.executors import Executor, ProcessExecutor, SerialExecutor, Slot
from structure_net.genome import allocate, genome_of, shapes_of
from structure_net.schema import Event, TrainingPlan, Trial, TrialFailed, TrialFinished, canonical

Make = Callable[[str], Executor]


@pytest.fixture(params=["serial", "processes"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Builds an executor over digits; `engine` may be one that does not exist."""
    (tmp_path / "networks").mkdir()
    plan = TrainingPlan(
        run_seed=0,
        dataset=load("digits", limit_train=200).directory,
        limit_train=200,
        validation_fraction=0.2,
        augmentation="none",
        batch_size=16,
        weight_decay=0.0,
        networks=str(tmp_path / "networks"),
    )
    made: list[Executor] = []

    def build(engine: str) -> Executor:
        if request.param == "serial":
            made.append(SerialExecutor(plan, "cpu", lambda _: engine))
        else:
            slots = [Slot("worker-0", "cpu", ""), Slot("worker-1", "cpu", "")]
            made.append(ProcessExecutor(plan, slots, lambda _: engine, tmp_path / "logs"))
        return made[-1]

    yield build
    for executor in made:
        executor.close()
        executor.close()  # twice is once
    spawned = [one for one in psutil.Process().children() if "spawn_main" in _command(one)]
    assert not spawned


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def trials(count: int, epochs: int = 2, rate: float = 0.003) -> list[Trial]:
    counts = allocate(shapes_of(64, [16], 10), 0.2)
    genome = genome_of(64, [16], 10, counts, base_learning_rate=rate)
    return [
        Trial(number=number, generation=0, genome=genome, seed=number, epochs=epochs)
        for number in range(count)
    ]


def outcomes(executor: Executor, wanted: list[Trial]) -> list[Event]:
    return [event for event in executor.run(wanted) if event is not None]


def test_every_trial_has_exactly_one_outcome(make: Make) -> None:
    executor = make("csr")
    events = outcomes(executor, trials(5))
    ended = [event.trial for event in events if isinstance(event, TrialFinished | TrialFailed)]
    assert sorted(number for number in ended if number is not None) == [0, 1, 2, 3, 4]
    again = outcomes(executor, trials(5))
    assert canonical(again) == canonical(events)


def test_an_exception_fails_each_trial_with_its_traceback_and_stops_nothing(make: Make) -> None:
    events = outcomes(make("no such engine"), trials(3))
    failed = [event for event in events if isinstance(event, TrialFailed)]
    assert sorted(one.trial for one in failed if one.trial is not None) == [0, 1, 2]
    assert {one.failure for one in failed} == {"error"}
    assert all("KeyError" in one.reason and "Traceback" in one.details for one in failed)


def test_closing_the_generator_cancels(make: Make) -> None:
    executor = make("csr")
    running = executor.run(trials(4, epochs=500))
    assert any(event is not None for event in (next(running) for _ in range(200)))
    running.close()  # type: ignore[attr-defined]


def test_no_trials_no_events(make: Make) -> None:
    assert outcomes(make("csr"), []) == []


def test_workers_that_cannot_start_end_the_run_with_their_last_words(tmp_path: Path) -> None:
    from structure_net.errors import RunFailedError

    plan = TrainingPlan(
        run_seed=0,
        dataset=str(tmp_path / "nothing"),
        limit_train=None,
        validation_fraction=0.2,
        augmentation="none",
        batch_size=16,
        weight_decay=0.0,
        networks=str(tmp_path),
    )
    executor = ProcessExecutor(plan, [Slot("worker-0", "cpu", "")], lambda _: "csr", tmp_path)
    with pytest.raises(RunFailedError, match="cannot start"):
        outcomes(executor, trials(1))
