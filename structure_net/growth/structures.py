"""Residual blocks and inserted layers before they are built: what their first connections promise.

Both begin with connections of weight 0, whose gradient needs the activations that stand before them
and the derivatives behind them. Those before are computed from what the edit will draw.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.genome import BLOCK_LAYERS, InsertLayer, InsertResidualBlock
from structure_net.growth.situation import Situation
from structure_net.metrics import Pairs, Probe, honest_gain, largest_gains, pair_signals
from structure_net.networks import (
    ACTIVATION_FUNCTIONS,
    RMS_EPSILON,
    SECOND,
    VALUE,
    Part,
    edited,
)

Gain = tuple[float, float]  # nats, standard error


def block_gain(situation: Situation, edit: InsertResidualBlock) -> Gain:
    """Nats, and their standard error, that the last matrix of a residual block promises with the
    features that the block will have."""
    probe, body = situation.probe, edited(situation.body, edit, situation.draw_of(edit))
    end = situation.genome.trunk[edit.junction + 1] - 1
    first = end + 1
    *inner, last = body.parts[first : first + BLOCK_LAYERS[edit.block]]
    h = probe.layers[end].activations
    for part in inner:
        u = h @ _matrix(part).t()
        if probe.normalisation == "rms":
            u = u * torch.rsqrt(u.square().mean(1, keepdim=True) + RMS_EPSILON)
        h = ACTIVATION_FUNCTIONS[probe.activation](u)  # biases of new units are 0
    true, sampled = (derivatives_by_output(probe, end, sampled=one) for one in (False, True))
    return gain_at(true, sampled, h, Pairs(last.sources, last.units, last.places))


def insertion_gain(situation: Situation, edit: InsertLayer) -> Gain:
    """The same for the connections of weight 0 in and behind an inserted layer that computes what
    was there; with `relu` and without normalisation, as `exact_insertion` makes them."""
    probe = situation.probe
    body = edited(situation.body, edit, situation.draw_of(edit))
    index = situation.genome.trunk[edit.place]
    before, (first, second) = probe.layers[index], body.parts[index : index + 2]
    biases = torch.from_numpy(first.biases[VALUE])
    z = before.inputs @ _matrix(first).t() + biases
    both = before.derivatives, before.sampled_derivatives
    active = (z > 0).float()
    through = [(one @ _matrix(second)) * active for one in both]
    into = gain_at(through[0], through[1], before.inputs, _fresh(first))
    out = gain_at(both[0], both[1], z.clamp(min=0), _fresh(second))
    return into[0] + out[0], float(np.hypot(into[1], out[1]))


def gain_at(
    derivatives: Float[Tensor, "samples units"],
    sampled: Float[Tensor, "samples units"],
    features: Float[Tensor, "samples sources"],
    pairs: Pairs,
) -> Gain:
    """The honest gain of all these pairs; nothing of none."""
    if len(pairs) == 0:
        return 0.0, 0.0
    signals = pair_signals(derivatives, sampled, features, pairs)
    found = honest_gain(signals, derivatives, features, largest_gains(len(pairs)))
    return found.nats, found.standard_error


def derivatives_by_output(
    probe: Probe, index: int, *, sampled: bool
) -> Float[Tensor, "samples units"]:
    """Those of each sample's loss by what hidden layer `index` gives, or by the sum where a block
    ends; the next layer alone reads it."""
    own, after = probe.layers[index], probe.layers[index + 1]
    if own.skip:
        return own.sampled_derivatives if sampled else own.derivatives
    lists = after.connections
    places = lists.rows * lists.sources + lists.columns.astype(np.int64)
    weights = _dense(lists.units, lists.sources, places, after.weights)
    return (after.sampled_derivatives if sampled else after.derivatives) @ weights


def _fresh(part: Part) -> Pairs:
    """Connections that begin at weight 0, of which nothing is known yet."""
    new = np.isnan(part.numbers[SECOND]) & (part.numbers[VALUE] == 0)
    return Pairs(part.sources, part.units, part.places[new])


def _matrix(part: Part) -> Float[Tensor, "units sources"]:
    return _dense(part.units, part.sources, part.places, part.numbers[VALUE])


def _dense(
    units: int,
    sources: int,
    places: Int[np.ndarray, " connections"],
    weights: Float[np.ndarray, " connections"],
) -> Float[Tensor, "units sources"]:
    matrix = torch.zeros(units * sources)
    matrix[torch.from_numpy(places)] = torch.from_numpy(weights)
    return matrix.view(units, sources)
