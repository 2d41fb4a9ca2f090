"""What a new connection would be worth: the predicted gain of 3.3, nats of mean loss.

A connection that starts at 0 and moves to the minimum of the loss's parabola in it alone lowers
the loss by g^2 / 2(F + D): gradient, Gauss-Newton curvature (Amari's Fisher information, with
labels drawn from the network), damping. All functions take a layer's signals as matrices, so they
serve features of a structure that is not built yet just as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.pairs import Pairs, candidate_pairs, mean_products
from structure_net.metrics.probe import Probe, ProbedLayer

# Share of the layer's mean curvature: keeps pairs that hardly any sample reaches from looking best.
DAMPING = 1e-3
# The metric asks what the best connections of a layer would bring: as many as a tenth of it, and
# no more than 1,000, the unit in which seeds are compared.
ADDED_SHARE = 0.1
MOST_ADDED = 1_000
# One-sided 95 % quantile of the normal distribution, and the least gain worth an edit, nats.
ONE_SIDED = 1.645
LEAST_GAIN = 0.002

Choice = Callable[[Float[np.ndarray, " pairs"]], Int[np.ndarray, " chosen"]]


@dataclass(frozen=True)
class PairSignals:
    """Gradient E[delta h] (nats per weight), curvature E[(sampled delta h)^2] and damping, each of
    the two halves of the samples: even numbers, odd numbers."""

    pairs: Pairs
    gradient: Float[np.ndarray, "halves pairs"]
    curvature: Float[np.ndarray, "halves pairs"]
    damping: Float[np.ndarray, " halves"]

    @property
    def whole_gradient(self) -> Float[np.ndarray, " pairs"]:
        """Of all samples, float64."""
        return np.asarray(self.gradient.mean(0, dtype=np.float64))

    @property
    def whole_curvature(self) -> Float[np.ndarray, " pairs"]:
        """Of all samples, float64."""
        return np.asarray(self.curvature.mean(0, dtype=np.float64))


@dataclass(frozen=True)
class HalfGain:
    """Pairs chosen by one half: what that half promises, and what the other half finds, with the
    standard error of its mean over samples; nats."""

    chosen: Int[np.ndarray, " chosen"]
    promised: float
    found: float
    standard_error: float


@dataclass(frozen=True)
class HonestGain:
    """Nats by which a set of connections is expected to lower the mean loss: the mean of the two
    halves' findings with the larger of their standard errors. Its mean is 0 on noise."""

    nats: float
    standard_error: float
    halves: tuple[HalfGain, HalfGain]

    def proven(self, least: float = LEAST_GAIN) -> bool:
        """Whether it is above 0 at the one-sided 95 % level, and `least` nats at least."""
        return self.nats - ONE_SIDED * self.standard_error > 0 and self.nats >= least


def pair_signals(
    derivatives: Float[Tensor, "samples units"],
    sampled_derivatives: Float[Tensor, "samples units"],
    inputs: Float[Tensor, "samples sources"],
    pairs: Pairs,
) -> PairSignals:
    """The signals at these pairs; of two samples at least, for an honest gain of four."""
    squares, features = sampled_derivatives.square(), inputs.square()
    # The layer's mean curvature, over all pairs there could be, is that of products of means.
    per_sample = (squares.mean(1) * features.mean(1)).double()
    means = np.array([float(per_sample[half::2].mean()) for half in (0, 1)])
    return PairSignals(
        pairs,
        mean_products(derivatives, inputs, pairs, groups=2),
        mean_products(squares, features, pairs, groups=2),
        DAMPING * means,
    )


def in_sample_gain(signals: PairSignals) -> Float[np.ndarray, " pairs"]:
    """g^2 / 2(F + D) of each pair over all samples, nats. It ranks pairs; as an estimate it is too
    high, because noise in g enters squared."""
    gradient = signals.whole_gradient
    return _gain(gradient, gradient, signals.whole_curvature, float(signals.damping.mean()))


def largest_gains(count: int) -> Choice:
    """Chooses the `count` pairs of largest in-sample gain."""

    def choose(gains: Float[np.ndarray, " pairs"]) -> Int[np.ndarray, " chosen"]:
        if count >= len(gains):
            return np.arange(len(gains))
        return np.argpartition(gains, len(gains) - count)[len(gains) - count :]

    return choose


def honest_gain(
    signals: PairSignals,
    derivatives: Float[Tensor, "samples units"],
    inputs: Float[Tensor, "samples sources"],
    choose: Choice,
) -> HonestGain:
    """Gain of the pairs that `choose` picks from in-sample gains, cross-checked: chosen and scaled
    on one half of the samples, found on the other; then the other way round.

    Per sample of the other half it is the sum of g delta h / 2(F + D) over the chosen pairs, with
    g, F and D of the choosing half, hence a mean over independent samples with its standard error.
    """
    even, odd = (_half_gain(signals, derivatives, inputs, choose, half) for half in (0, 1))
    nats = 0.5 * (even.found + odd.found)
    return HonestGain(nats, max(even.standard_error, odd.standard_error), (even, odd))


def _half_gain(
    signals: PairSignals,
    derivatives: Float[Tensor, "samples units"],
    inputs: Float[Tensor, "samples sources"],
    choose: Choice,
    half: int,
) -> HalfGain:
    gradient, curvature = signals.gradient[half], signals.curvature[half]
    damping = float(signals.damping[half])
    gains = _gain(gradient, gradient, curvature, damping)
    chosen = choose(gains)
    ones = np.ones(len(chosen), dtype=np.float32)
    per_gradient = _gain(gradient[chosen], ones, curvature[chosen], damping)
    places = signals.pairs.places[chosen]
    rows, columns = np.divmod(places, signals.pairs.sources)
    other = 1 - half
    products = derivatives.t()[torch.from_numpy(rows), other::2]
    products = products * inputs.t()[torch.from_numpy(columns), other::2]
    found = torch.from_numpy(per_gradient) @ products.double()
    error = float(found.std()) / math.sqrt(len(found))
    return HalfGain(chosen, float(gains[chosen].sum()), float(found.mean()), error)


def _gain(
    one: Float[np.ndarray, " pairs"],
    other: Float[np.ndarray, " pairs"],
    curvature: Float[np.ndarray, " pairs"],
    damping: float,
) -> Float[np.ndarray, " pairs"]:
    """one * other / 2(F + D), float64; 0 where no sample gives any curvature."""
    below = 2.0 * (curvature.astype(np.float64) + damping)
    above = one.astype(np.float64) * other
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0.0))


def layer_candidates(probe: Probe, index: int) -> Pairs:
    """The candidate pairs of sparse layer `index`, the same for all who ask this probe."""
    connections = probe.layers[index].connections
    return probe.once(
        f"candidate pairs {index}",
        lambda: candidate_pairs(connections, probe.draw("candidate pairs", index)),
    )


def layer_signals(probe: Probe, index: int) -> PairSignals:
    """The signals at the candidate pairs of sparse layer `index`."""
    layer = probe.layers[index]
    return probe.once(
        f"candidate signals {index}",
        lambda: pair_signals(
            layer.derivatives,
            layer.sampled_derivatives,
            layer.inputs,
            layer_candidates(probe, index),
        ),
    )


def added_count(layer: ProbedLayer) -> int:
    """How many connections the metric would add to a layer."""
    return min(MOST_ADDED, max(1, round(ADDED_SHARE * len(layer.weights))))


@metric("predicted_gain", group="sensitivity", unit="nats", low=None, high=None, better=None)
def predicted_gain(probe: Probe) -> Measurement:
    """Nats of loss that the best absent connections promise, cross-checked between two halves.

    Layers: all sparse layers, each with the honest gain of the best tenth of its connection count,
    1,000 at most. Total: the same for the layer that promises most, where the layer too is chosen
    by one half and measured on the other. Undetermined for a layer that lacks no connection.
    """
    if probe.samples < 4:
        return Measurement(Undetermined(f"two halves want 4 samples, there are {probe.samples}"))
    gains: dict[int, HonestGain] = {}
    in_sample: dict[int, float] = {}
    for index, layer in enumerate(probe.layers):
        if len(layer_candidates(probe, index)):
            signals, best = layer_signals(probe, index), largest_gains(added_count(layer))
            gains[index] = honest_gain(signals, layer.derivatives, layer.inputs, best)
            every = in_sample_gain(signals)
            in_sample[index] = float(every[best(every)].sum())
    lacking = Undetermined("the layer lacks no connection")
    layers: list[Value] = [
        gains[index].nats if index in gains else lacking for index in range(len(probe.layers))
    ]
    if not gains:
        return Measurement(Undetermined("no layer lacks a connection"), tuple(layers))
    total, error = _best_layer(list(gains.values()))
    return Measurement(
        total,
        tuple(layers),
        {
            "standard_error": error,
            "layers": [_shown(gains.get(n), in_sample.get(n)) for n in range(len(layers))],
        },
    )


def _best_layer(gains: Sequence[HonestGain]) -> tuple[float, float]:
    """(nats, standard error) of the layer that promises most to the half that chooses."""
    picked = [max((gain.halves[half] for gain in gains), key=_promise) for half in (0, 1)]
    nats = sum(half.found for half in picked) / len(picked)
    return nats, max(half.standard_error for half in picked)


def _promise(half: HalfGain) -> float:
    return half.promised


def _shown(gain: HonestGain | None, in_sample: float | None) -> dict[str, object] | None:
    if gain is None:
        return None
    return {
        "connections": len(gain.halves[0].chosen),
        "in_sample": in_sample,
        "honest": gain.nats,
        "standard_error": gain.standard_error,
        "proven": gain.proven(),
    }
