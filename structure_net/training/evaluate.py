"""The one reading of the test part: for the final report, and for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from structure_net.datasets import Dataset, open_test
from structure_net.engine import make_engine
from structure_net.networks import load_network
from structure_net.schema import ChampionEvaluated, Retrained, TrialResult
from structure_net.training.classroom import Classroom


def evaluate_champion(
    result: TrialResult,
    network_file: Path,
    dataset: Dataset,
    room: Classroom,
    retrained: Sequence[TrialResult] = (),
) -> ChampionEvaluated:
    """Open the sealed test part, once, and measure the champion's saved network on it, and those
    of its retrainings, which lie in the same folder."""
    files = [network_file.with_name(f"{one.number}.safetensors") for one in retrained]
    networks = [load_network(path)[0] for path in (network_file, *files)]
    test = open_test(dataset)
    labels = np.array(test.labels, dtype=np.int64)

    engine = make_engine(
        result.engine, device=room.device, mixed_precision=room.plan.mixed_precision
    )
    accuracies = []
    for network in networks:
        batches = room.batches.of_part(test.images, labels, np.arange(len(labels)))
        accuracy, _, count = engine.evaluate(network, batches)
        accuracies.append(accuracy)
    return ChampionEvaluated(
        generation=result.trial.generation,
        trial=result.number,
        test_accuracy=accuracies[0],
        test_samples=count,
        test_hash=test.test_hash,
        validation_accuracy=result.validation_accuracy,
        retraining=tuple(
            Retrained(
                trial=one.number,
                seed=one.trial.seed,
                validation_accuracy=one.validation_accuracy,
                test_accuracy=own,
            )
            for one, own in zip(retrained, accuracies[1:], strict=True)
        ),
    )
