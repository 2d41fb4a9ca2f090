"""The one reading of the test part: for the final report, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structure_net.datasets import Dataset, open_test
from structure_net.engine import make_engine
from structure_net.networks import load_network
from structure_net.schema import ChampionEvaluated, TrialResult
from structure_net.training.classroom import Classroom


def evaluate_champion(
    result: TrialResult, network_file: Path, dataset: Dataset, room: Classroom
) -> ChampionEvaluated:
    """Open the sealed test part and measure the champion's saved network on it."""
    network, _ = load_network(network_file)
    test = open_test(dataset)
    labels = np.array(test.labels, dtype=np.int64)

    engine = make_engine(
        result.engine, device=room.device, mixed_precision=room.plan.mixed_precision
    )
    batches = room.batches.of_part(test.images, labels, np.arange(len(labels)))
    accuracy, _, count = engine.evaluate(network, batches)
    return ChampionEvaluated(
        generation=result.trial.generation,
        trial=result.number,
        test_accuracy=accuracy,
        test_samples=count,
        test_hash=test.test_hash,
        validation_accuracy=result.validation_accuracy,
    )
