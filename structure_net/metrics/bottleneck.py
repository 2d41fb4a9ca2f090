"""Which hidden layer holds the others up: three signs of it, put together by ranks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from structure_net.metrics.components import eigenvalues, smaller_gram
from structure_net.metrics.information import read_signal
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe
from structure_net.metrics.representation import effective_rank_of, portrait

# The inputs' effective rank is needed here only, and finding it on all samples of an image takes a
# second: the first layer is compared with them on this many.
RANK_SAMPLES = 512


@metric("bottleneck_index", group="sensitivity", unit="rank", low=3, high=None, better=None)
def bottleneck_index(probe: Probe) -> Measurement:
    """How much a hidden layer holds the network up, as a sum of three ranks: the lowest is the
    bottleneck.

    Ascending ranks among the hidden layers (the mean rank where equal) of the gain in label
    information over the layer before, of the effective rank over that of the layer before, and of
    the mean square derivative of a unit, the largest first: there the fewest units carry the most.
    Layers: the hidden layers. Total: the lowest. Detail: the number of the bottleneck among the
    hidden layers, from 0, and the three quantities."""
    if len(probe.hidden) < 2:
        return Measurement(Undetermined("ranks among hidden layers want two of them"))
    energies: list[Value] = [float(layer.derivatives.square().mean()) for layer in probe.hidden]
    signs = {
        "information_gain": _information_gains(probe),
        "directions_kept": _directions_kept(probe),
        "square_derivative": energies,
    }
    sums = np.zeros(len(energies))
    for name, values in signs.items():
        known = [value for value in values if not isinstance(value, Undetermined)]
        if len(known) < len(values):
            return Measurement(next(value for value in values if isinstance(value, Undetermined)))
        sums += _ranks(np.array(known) * (-1.0 if name == "square_derivative" else 1.0))
    detail = {"bottleneck": int(sums.argmin()), **signs}
    return Measurement(float(sums.min()), tuple(sums.tolist()), detail)


def _information_gains(probe: Probe) -> list[Value]:
    """Label information of each hidden layer, unclipped, less that of what it receives."""
    gains: list[Value] = []
    for place in probe.hidden_places:
        before, after = (read_signal(probe, index) for index in (place, place + 1))
        if isinstance(before, Undetermined):
            gains.append(before)
        else:
            gains.append(after if isinstance(after, Undetermined) else after.raw - before.raw)
    return gains


def _directions_kept(probe: Probe) -> list[Value]:
    """Effective rank of each hidden layer over that of what it receives."""
    first = probe.layers[0]
    of_inputs = probe.once_for_inputs("rank", lambda: _few_samples_rank(first.inputs))
    kept = [_ratio(of_inputs, _few_samples_rank(first.activations))]
    for place in probe.hidden_places[1:]:
        before, after = (
            effective_rank_of(portrait(probe, index).variances) for index in (place, place + 1)
        )
        kept.append(_ratio(before, after))
    return kept


def _few_samples_rank(signal: Float[Tensor, "samples units"]) -> Value:
    few = signal[:RANK_SAMPLES].double()
    return effective_rank_of(eigenvalues(smaller_gram(few - few.mean(0))))


def _ratio(before: Value, after: Value) -> Value:
    if isinstance(before, Undetermined):
        return before
    return after if isinstance(after, Undetermined) else after / before


def _ranks(values: Float[np.ndarray, " layers"]) -> Float[np.ndarray, " layers"]:
    """1 for the smallest; equal ones share the mean of their ranks."""
    below = (values < values[:, None]).sum(1)
    equal = (values == values[:, None]).sum(1)
    return np.asarray(below + (equal + 1) / 2)
