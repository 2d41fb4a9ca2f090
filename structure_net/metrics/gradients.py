"""Numbers of every connection, candidate or unit of a layer, by which edits are placed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from structure_net.metrics.gain import layer_candidates, layer_signals
from structure_net.metrics.graph import led_on
from structure_net.metrics.pairs import Pairs, group_sizes, live_pairs, mean_products
from structure_net.metrics.probe import Probe, ProbedLayer

# Groups of samples between which a gradient's noise is seen: of 2,048 samples each is as large as
# a training batch of 256.
MICRO_BATCHES = 8

PerConnection = Float[np.ndarray, " connections"]


def connection_gradients(layer: ProbedLayer, pairs: Pairs) -> Float[np.ndarray, " pairs"]:
    """E[delta_i h_j] at pairs (i, j): the derivative of the mean loss by the weight of a connection
    there, be it live or absent (then at weight 0); nats per weight, float32."""
    return np.asarray(mean_products(layer.derivatives, layer.inputs, pairs)[0])


def connection_curvatures(layer: ProbedLayer, pairs: Pairs) -> Float[np.ndarray, " pairs"]:
    """E[(delta_i h_j)^2] at pairs (i, j) with labels drawn from the network: an unbiased estimate
    of the diagonal of the Gauss-Newton matrix; nats per squared weight, float32."""
    squares = layer.sampled_derivatives.square()
    return np.asarray(mean_products(squares, layer.inputs.square(), pairs)[0])


def batch_gradients(probe: Probe, index: int) -> Float[np.ndarray, "batches connections"]:
    """Gradients at the connections of sparse layer `index` in each of 8 micro-batches (sample s
    belongs to number s mod 8); in one of all samples where these are fewer than 8."""
    layer = probe.layers[index]
    batches = MICRO_BATCHES if probe.samples >= MICRO_BATCHES else 1
    return probe.once(
        f"batch gradients {index}",
        lambda: mean_products(
            layer.derivatives, layer.inputs, live_pairs(layer.connections), batches
        ),
    )


def live_gradient(probe: Probe, index: int) -> PerConnection:
    """E[delta_i h_j] at the connections of sparse layer `index`, float64."""
    parts = batch_gradients(probe, index)
    sizes = group_sizes(probe.samples, len(parts))
    return np.asarray(sizes @ parts.astype(np.float64) / probe.samples)


def candidate_gradient(probe: Probe, index: int) -> Float[np.ndarray, " candidates"]:
    """E[delta_i h_j] at the candidate pairs of sparse layer `index`, float64."""
    if probe.samples < 2:  # no halves
        pairs = layer_candidates(probe, index)
        return connection_gradients(probe.layers[index], pairs).astype(np.float64)
    return layer_signals(probe, index).whole_gradient


def removal_cost(probe: Probe, index: int) -> PerConnection:
    """|w g| of each connection of sparse layer `index`, nats: to first order, how much the mean
    loss changes when it goes; the score of SNIP (Lee et al. 2019)."""
    weights = probe.layers[index].weights.astype(np.float64)
    return np.asarray(np.abs(weights * live_gradient(probe, index)))


def unit_utilities(probe: Probe, index: int) -> Float[np.ndarray, " units"]:
    """E|a_i| times the sum of |w| of the connections out of it, for each unit of sparse layer
    `index`, also out of the sums of residual blocks behind it."""

    def outgoing() -> list[np.ndarray]:
        return led_on(probe, [np.abs(one.weights.astype(np.float64)) for one in probe.layers])

    sums = probe.once("outgoing weights", outgoing)[index]
    return np.asarray(probe.layers[index].activations.abs().mean(0).double().numpy() * sums)


def starvation(probe: Probe, index: int) -> Float[np.ndarray, " units"]:
    """For each unit of sparse layer `index`, the root mean square gradient at candidate pairs into
    it over that at its connections; NaN, which triggers nothing, where one of them is missing."""
    layer, candidates = probe.layers[index], layer_candidates(probe, index)
    absent = _row_means(candidates.rows, candidate_gradient(probe, index) ** 2, candidates.units)
    live_rows = layer.connections.rows
    live = _row_means(live_rows, live_gradient(probe, index) ** 2, candidates.units)
    known = (absent > 0) & (live > 0)
    return np.asarray(np.sqrt(np.divide(absent, live, out=np.full(len(live), np.nan), where=known)))


def _row_means(
    rows: Int[np.ndarray, " pairs"], values: Float[np.ndarray, " pairs"], units: int
) -> Float[np.ndarray, " units"]:
    counts = np.bincount(rows, minlength=units)
    return np.asarray(np.bincount(rows, weights=values, minlength=units) / np.maximum(counts, 1))
