"""The same work by this package: cohorts over single-threaded processes, one for each core."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier

import numpy as np

from structure_net.bench.workloads import RATE, Workload, images
from structure_net.executors import deal
from structure_net.genome import Genome, overall_density
from structure_net.schema import Cohort, Trial

WEIGHT_DECAY = 1e-4
LIMITS = (1e-6, 1e-2)


class Crew:
    """One process for each core, started and imported before anything is timed."""

    def __init__(self, cores: int, samples: int) -> None:
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(cores)
        self._pools: list[Pool] = [
            context.Pool(1, _begin, (samples, barrier)) for _ in range(cores)
        ]

    def train(self, workload: Workload, engines: Sequence[str]) -> tuple[float, list[float]]:
        """Every network for the workload's steps: seconds, and the last loss of each network.

        Networks are built, and take one step, before the clock starts; it stops when the last
        process is done.
        """
        trials = [
            Trial(number=number, generation=0, genome=genome, seed=number, epochs=1)
            for number, genome in enumerate(workload.genomes)
        ]
        cohorts = deal(trials, lambda genome: _choose(genome, engines), len(self._pools))
        shares: list[list[Cohort]] = [[] for _ in self._pools]
        loads = [0] * len(shares)
        for cohort in cohorts:  # the most expensive first, each to whoever has least
            place = loads.index(min(loads))
            shares[place].append(cohort)
            loads[place] += sum(sum(trial.genome.counts) for trial in cohort.trials)
        waiting = [
            pool.apply_async(_train, (share, workload.steps, workload.batch_size))
            for pool, share in zip(self._pools, shares, strict=True)
        ]
        parts = [part.get() for part in waiting]
        losses = {number: loss for _, part in parts for number, loss in part}
        return max(seconds for seconds, _ in parts), [losses[one.number] for one in trials]

    def close(self) -> None:
        """End the processes."""
        for pool in self._pools:
            pool.terminate()
            pool.join()


def _choose(genome: Genome, engines: Sequence[str]) -> str:
    """The engine of the fixed table if it is allowed, else the first that is."""
    from structure_net.engine import CSR_CROSSOVER, choose_engine

    chosen = choose_engine(genome, "auto", "cpu")
    if chosen in engines:
        return chosen
    sparse = "csr" in engines and overall_density(genome) <= CSR_CROSSOVER
    return "csr" if sparse or "dense" not in engines else "dense"


_data: list[np.ndarray] = []
_barrier: list[Barrier] = []


def _begin(samples: int, barrier: Barrier) -> None:
    """In a worker: one thread, the images, and the line where all wait for each other."""
    import torch

    torch.set_num_threads(1)
    _data[:] = images(samples)
    _barrier[:] = [barrier]


def _train(
    cohorts: list[Cohort], steps: int, batch_size: int
) -> tuple[float, list[tuple[int, float]]]:
    """In a worker: train its share; seconds, and (trial number, last loss) of each network."""
    import torch

    from structure_net.bench.data import batches_of
    from structure_net.engine import AdamW, Learner, make_engine
    from structure_net.networks import build_network

    ready = []
    for cohort in cohorts:
        networks = [build_network(trial.genome, trial.seed) for trial in cohort.trials]
        learners = [Learner(one, AdamW(one, WEIGHT_DECAY, LIMITS)) for one in networks]
        engine, rates = make_engine(cohort.engine), torch.full((1, len(learners)), RATE)
        engine.train_steps(learners, batches_of(_data[0], _data[1], batch_size, 1), rates)
        ready.append((engine, learners))
    _barrier[0].wait()
    done, began = [], time.perf_counter()
    for cohort, (engine, learners) in zip(cohorts, ready, strict=True):
        rates = torch.full((steps, len(learners)), RATE)
        batches = batches_of(_data[0], _data[1], batch_size, steps)
        losses = engine.train_steps(learners, batches, rates)
        done += [(trial.number, float(losses[-1, k])) for k, trial in enumerate(cohort.trials)]
    return time.perf_counter() - began, done
