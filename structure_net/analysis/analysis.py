"""All metrics of a saved network, with what they declare."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from structure_net.analysis.saved import Saved
from structure_net.executors import single_thread
from structure_net.genome import active_parameters, connection_count, overall_density
from structure_net.metrics import probe
from structure_net.networks import Connections
from structure_net.schema import Measured, MetricFacts, MetricsLevel
from structure_net.training import measured, metric_facts

ANALYSIS_VERSION = 1
BLOCKS = 48  # a side of a picture of connections, at most: squares of 8 by 5 units of a drawing


@dataclass(frozen=True)
class Analysis:
    """What the metrics of a level say of a saved network. `blocks` are, for each sparse layer,
    densities of equal blocks of its connection matrix; `seconds` is what looking took."""

    saved: Saved
    level: MetricsLevel
    samples: int
    values: dict[str, Measured]
    facts: dict[str, MetricFacts]
    blocks: tuple[Float[np.ndarray, "_ _"], ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Everything but the blocks, as JSON values."""
        about, network = self.saved.description, self.saved.network
        return {
            "schema_version": ANALYSIS_VERSION,
            "file": str(self.saved.path),
            "tensors_sha256": about.tensors_sha256,
            "genome_id": about.genome.id,
            "architecture": list(about.genome.architecture),
            "activation": about.genome.activation,
            "normalisation": about.genome.normalisation,
            "density": overall_density(about.genome),
            "connections": connection_count(about.genome),
            "active_parameters": active_parameters(network.genome),
            "lineage": about.lineage,
            "accuracies": about.metrics,
            "data": {"name": about.data.name, "train_hash": about.data.train_hash},
            "samples": self.samples,
            "level": self.level,
            "seconds": self.seconds,
            "metrics": {
                name: {
                    **self.facts[name].model_dump(mode="json"),
                    **value.model_dump(mode="json"),
                }
                for name, value in self.values.items()
            },
        }


def analyse(
    saved: Saved,
    level: MetricsLevel = "full",
    *,
    source: str | None = None,
    data_dir: Path | None = None,
) -> Analysis:
    """Look at a saved network on the probe set of its generation, which is drawn from the training
    part of its data; `source` and `data_dir` say where these lie. One thread computes, so that the
    numbers are the same on every number of cores."""
    inputs, labels = saved.samples(saved.dataset(source, data_dir))
    began = time.perf_counter()
    with single_thread():
        seen = probe(
            saved.network,
            inputs,
            labels,
            saved.network.genome.classes,
            seed=saved.run_seed,
            path=(saved.generation, "probe"),
        )
        values = measured(seen, level)
    seconds = time.perf_counter() - began
    blocks = tuple(block_densities(layer.connections) for layer in seen.layers)
    return Analysis(saved, level, len(labels), values, metric_facts(), blocks, seconds)


def block_densities(connections: Connections) -> Float[np.ndarray, "_ _"]:
    """Density of each block of a layer's matrix [units, sources], cut into at most 48 a side."""
    units, sources = connections.units, connections.sources
    down, across = min(BLOCKS, units), min(BLOCKS, sources)
    rows = connections.rows.astype(np.int64) * down // units
    columns = connections.columns.astype(np.int64) * across // sources
    counts = np.bincount(rows * across + columns, minlength=down * across)
    high = np.bincount(np.arange(units) * down // units, minlength=down)
    wide = np.bincount(np.arange(sources) * across // sources, minlength=across)
    return np.asarray(counts.reshape(down, across) / np.outer(high, wide))
