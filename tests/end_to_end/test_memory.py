"""The coordinator's memory over a thousand trials: only the record of each stays."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from structure_net.executors import Executor
from structure_net.genome import active_parameters, connection_count, dense_parameters
from structure_net.schema import (
    WHOLE,
    Event,
    Segment,
    Trial,
    TrialFinished,
    TrialResult,
    TrialStarted,
    resolve,
)
from structure_net.tournament import Tournament, start

POPULATION, GENERATIONS = 64, 20
# A result with its genome, held for selection, ancestry and the results file; events are not held.
BYTES_PER_TRIAL = 12_000


class Instant(Executor):
    """Every trial ends at once; its network is an empty file."""

    capacity = 4

    def __init__(self, networks: Path) -> None:
        self.networks = networks

    def run(
        self,
        trials: Sequence[Trial],
        attempts: Mapping[int, int] | None = None,
        segment: Segment = WHOLE,
    ) -> Iterator[Event | None]:
        for trial in trials:
            (self.networks / f"{trial.number}.safetensors").touch()
            place = {"generation": trial.generation, "trial": trial.number, "attempt": 1}
            yield TrialStarted(
                **place,
                step=0,
                genome=trial.genome,
                seed=trial.seed,
                parents=trial.parents,
                operators=trial.operators,
                architecture=trial.genome.architecture,
                strategy=trial.genome.strategy,
                active_parameters=active_parameters(trial.genome),
                batch_size=8,
                epochs=trial.epochs,
                engine="csr",
                worker=f"worker-{trial.number % 4}",
                device="cpu",
            )
            result = TrialResult(
                trial=trial,
                validation_accuracy=(trial.seed % 997) / 997,
                validation_loss=0.5,
                train_loss=0.5,
                active_parameters=active_parameters(trial.genome),
                dense_parameters=dense_parameters(trial.genome),
                connections=connection_count(trial.genome),
                batch_size=8,
                engine="csr",
                cost=1000,
                network_sha256=f"{trial.number:064x}",
            )
            worker = f"worker-{trial.number % 4}"
            yield TrialFinished(**place, step=2, result=result, worker=worker)

    def close(self) -> None:
        pass


def test_memory_grows_by_the_results_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def instant(self: Tournament) -> Executor:
        networks = self.directory / "networks"
        networks.mkdir()
        return Instant(networks)

    monkeypatch.setattr(Tournament, "_make_executor", instant)
    monkeypatch.setattr(Tournament, "_ending", lambda _: iter(()))
    options = {
        "tournament_size": POPULATION,
        "generations": GENERATIONS,
        "seed": 1,
        "inherit": "none",
    }
    run = start(resolve(preset="quick", limit_train=200, out=tmp_path / "run", **options))
    held: list[tuple[int, int]] = []
    tracemalloc.start()
    try:
        for event in run.run():
            if event.kind == "GenerationFinished":
                gc.collect()
                held.append((len(run.history.outcomes), tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()
    (early, before), (late, after) = held[4], held[-1]
    assert late > 900
    assert (after - before) / (late - early) < BYTES_PER_TRIAL
    # As much in the second half as in the first: linear, with no event kept.
    (half, between) = held[12]
    slopes = (between - before) / (half - early), (after - between) / (late - half)
    assert slopes[1] < 1.5 * slopes[0]
