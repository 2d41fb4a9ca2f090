"""The one reading of the test part: for the final report, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from structure_net.datasets import Dataset, open_test
from structure_net.engine import Batch, make_engine
from structure_net.networks import load_network
from structure_net.schema import ChampionEvaluated, TrialResult
from structure_net.training.classroom import Classroom

TEST_BATCH = 1024


def evaluate_champion(
    result: TrialResult, network_file: Path, dataset: Dataset, room: Classroom
) -> ChampionEvaluated:
    """Open the sealed test part and measure the champion's saved network on it."""
    network, _ = load_network(network_file)
    test = open_test(dataset)
    labels = np.array(test.labels, dtype=np.int64)

    def batches() -> Iterator[Batch]:
        for start in range(0, len(labels), TEST_BATCH):
            raw = np.asarray(test.images[start : start + TEST_BATCH])
            yield (
                room.batches.standardise(raw),
                torch.from_numpy(labels[start : start + TEST_BATCH]),
            )

    accuracy, _, count = make_engine(result.engine).evaluate(network, batches())
    return ChampionEvaluated(
        generation=result.trial.generation,
        trial=result.number,
        test_accuracy=accuracy,
        test_samples=count,
        test_hash=test.test_hash,
        validation_accuracy=result.validation_accuracy,
    )
