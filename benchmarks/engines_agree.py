"""Claim: which engine trains a network makes no difference to what it learns. CIFAR-10, 10 epochs
of 3072-512-256-128-10 at 5 % density, the same seeds for every engine; the 90 % interval of each
engine's paired difference to `dense` in validation accuracy lies inside one point either way.

    python benchmarks/engines_agree.py [--data-dir DIR] [--seeds N] [--epochs N]
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from statistics import mean, stdev

from structure_net.datasets import load
from structure_net.genome import allocate, genome_of, shapes_of
from structure_net.schema import Cohort, TrainingPlan, Trial, TrialFinished
from structure_net.training import Classroom, train

WIDTHS, DENSITY, RATE = (512, 256, 128), 0.05, 3e-3
# Engine, and whether its products are 16-bit where the machine is fast at them.
WAYS = {
    "dense": ("dense", False),
    "dense, bf16": ("dense", True),
    "csr": ("csr", False),
    "native": ("native", False),
}
# 95th percentile of Student's t by degrees of freedom: the interval's upper 5 %.
STUDENT = {1: 6.314, 2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 8: 1.860, 9: 1.833}


def accuracy(way: str, seed: int, epochs: int, data: str, data_dir: Path | None) -> float:
    """Validation accuracy after the last epoch."""
    engine, mixed_precision = WAYS[way]
    dataset = load(data, data_dir)
    shapes = shapes_of(dataset.inputs, WIDTHS, len(dataset.classes))
    genome = genome_of(
        dataset.inputs,
        WIDTHS,
        len(dataset.classes),
        allocate(shapes, DENSITY),
        base_learning_rate=RATE,
    )
    with tempfile.TemporaryDirectory() as networks:
        plan = TrainingPlan(
            run_seed=seed,
            dataset=str(dataset.directory),
            limit_train=None,
            validation_fraction=0.1,
            augmentation="flip",
            batch_size=256,
            weight_decay=1e-4,
            networks=networks,
            mixed_precision=mixed_precision,
        )
        trial = Trial(number=0, generation=0, genome=genome, seed=seed, epochs=epochs)
        room = Classroom.open(plan, "cpu", "benchmark")
        cohort = Cohort(engine=engine, trials=(trial,), attempts=(1,))
        events = list(train(cohort, room))
    (outcome,) = [event for event in events if isinstance(event, TrialFinished)]
    return outcome.result.validation_accuracy


def interval(differences: list[float]) -> tuple[float, float, float]:
    """Mean and the ends of its 90 % interval, by Student's t."""
    middle, count = mean(differences), len(differences)
    half = STUDENT[count - 1] * stdev(differences) / math.sqrt(count)
    return middle, middle - half, middle + half


def main(arguments: list[str] | None = None) -> int:
    """Print every accuracy and the intervals; 0 if all lie inside one point."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", default="cifar10", help="dataset, as --dataset of tournaments")
    parser.add_argument("--data-dir", type=Path, help="folder that holds it")
    parser.add_argument("--seeds", type=int, default=5, choices=range(2, 11))
    parser.add_argument("--epochs", type=int, default=10)
    chosen = parser.parse_args(arguments)
    found: dict[str, list[float]] = {}
    for way in WAYS:
        found[way] = [
            accuracy(way, seed, chosen.epochs, chosen.data, chosen.data_dir)
            for seed in range(chosen.seeds)
        ]
        print(f"{way:12}", "  ".join(f"{100 * value:.2f}" for value in found[way]), flush=True)
    inside = True
    for way in list(WAYS)[1:]:
        pairs = zip(found[way], found["dense"], strict=True)
        middle, low, high = (100 * v for v in interval([one - other for one, other in pairs]))
        inside &= low > -1.0 and high < 1.0
        print(f"{way} - dense: {middle:+.2f} points, 90 % interval {low:+.2f} to {high:+.2f}")
    return 0 if inside else 1


if __name__ == "__main__":
    raise SystemExit(main())
