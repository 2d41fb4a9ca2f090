"""What metrics cost grows as the connections do, in seconds of the processor."""

from __future__ import annotations

import time

import numpy as np
import torch

from structure_net.genome import allocate, genome_of, shapes_of
from structure_net.metrics import METRICS, Probe, probe
from structure_net.networks import build_network

WIDTHS = (1000, 2000, 1000, 10)
CONNECTIONS = (50_000, 100_000, 200_000, 400_000)
SOLVERS = ("spectral", "stable_rank", "wiring", "laplacian", "conductance")  # as often as it takes
ROUNDS = 3


def seen(connections: int, samples: int) -> Probe:
    """A network of these widths, looked at; what metrics share of a probe is made."""
    shapes = shapes_of(WIDTHS[0], list(WIDTHS[1:-1]), WIDTHS[-1])
    counts = allocate(shapes, connections / sum(n * m for n, m in shapes))
    inputs, *hidden, classes = WIDTHS
    genome = genome_of(inputs, hidden, classes, counts, base_learning_rate=0.01, activation="relu")
    network = build_network(genome, 0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, inputs, generator=generator).t().contiguous().t()
    found = probe(network, x, torch.arange(samples) % classes, classes, path=("cost",))
    for layer in found.layers:
        assert len(layer.derivatives) == len(layer.sampled_derivatives) == samples
    return found


def exponent(names: list[str], samples: int) -> float:
    """The slope of ln(seconds) against ln(connections); the least of several rounds counts, for
    other work on the machine only adds."""
    least = np.full(len(CONNECTIONS), np.inf)
    for _ in range(ROUNDS):
        for place, connections in enumerate(CONNECTIONS):
            looked = seen(connections, samples)
            began = time.process_time()
            for name in names:
                METRICS.get(name).measure(looked)
            least[place] = min(least[place], time.process_time() - began)
    return float(np.polyfit(np.log(CONNECTIONS), np.log(least), 1)[0])


def test_metrics_of_the_graph_are_linear_in_the_connections() -> None:
    names = [
        name
        for name in METRICS
        if METRICS.get(name).group == "graph" and not name.startswith(SOLVERS)
    ]
    # Above 1 it would grow faster; fixed parts bring it below, the more so on a busy machine.
    assert 0.6 < exponent([*names, "synflow"], 8) < 1.15


def test_gradients_at_pairs_take_no_more_than_linear_time() -> None:
    """Less than linear where a whole matrix is the cheaper way to many of its pairs."""
    names = ["connection_gradient", "gradient_snr", "fisher", "snip", "predicted_gain"]
    assert exponent(names, 512) < 1.15
