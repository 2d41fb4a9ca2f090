"""What the layers know, in nats: about the labels, and about the layer before.

A deterministic map of a continuous input has infinite mutual information, so each value names its
channel: a reader trained on the layer, or noise of a tenth of each unit's standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.metrics.binned import BinnedInformation, binned_information
from structure_net.metrics.components import Components, centred, components
from structure_net.metrics.copula import (
    CopulaInformation,
    Scores,
    copula_information,
    resolution,
)
from structure_net.metrics.jackknife import spread
from structure_net.metrics.ksg import ksg, ksg_left_out
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe
from structure_net.metrics.readers import ReaderName, Reading, read_labels
from structure_net.metrics.representation import (
    SAMPLES_PER_COMPONENT,
    least,
    most_components,
    portrait,
)

T = TypeVar("T")

# The declared channel: noise of this share of each unit's standard deviation.
NOISE = 0.1
# The neighbour estimate exceeds the copula's by this many nats and this many standard errors: then
# there is dependence that is not monotone.
EXCESS = 0.1
EXCESS_ERRORS = 3.0
FEW = Undetermined(f"fewer than {SAMPLES_PER_COMPONENT} samples")
STILL = Undetermined("the signal is the same on all samples")


@dataclass(frozen=True)
class View:
    """A signal in the few coordinates that information is read from, centred, float64.

    They are its units, or its leading principal components where it has more units than
    components may be read. `leading` is the first component as weights of the coordinates. `noise`
    turns standard normal numbers into what independent noise, of variance 1 % of each unit's, looks
    like in the coordinates; it follows the units where their order changes.
    """

    coordinates: Float[Tensor, "samples dimensions"]
    leading: Float[Tensor, " dimensions"]
    noise: Float[Tensor, "dimensions dimensions"]
    captured: float


@dataclass(frozen=True)
class Channel:
    """What a layer receives, and its noisy response: two views, and their leading components."""

    before: View
    after: View
    responses: Float[Tensor, "samples dimensions"]

    @property
    def leading_pair(self) -> tuple[Float[Tensor, "samples 1"], Float[Tensor, "samples 1"]]:
        before = self.before.coordinates @ self.before.leading
        return before[:, None], (self.responses @ self.after.leading)[:, None]


def view(
    signal: Float[Tensor, "samples units"], most: int, found: Components | None = None
) -> View | Undetermined:
    """The signal in at most `most` coordinates; `found` are its components, if known already."""
    if most < 1:
        return FEW
    whole = centred(signal)
    found = components(whole, most) if found is None else found
    if not len(found):
        return STILL
    variances = NOISE**2 * whole.square().mean(0, dtype=torch.double)
    # Along the components it has this covariance.
    spread = found.directions.T @ (variances[:, None] * found.directions)
    noise = torch.linalg.cholesky(spread)
    if len(found) == signal.shape[1]:
        first = found.directions[:, 0]
        return View(whole.double(), first, found.directions @ noise, 1.0)
    first = torch.eye(len(found), dtype=torch.double)[0]
    return View(found.scores, first, noise, found.captured)


def noisy_channel(
    before: View | Undetermined, after: View | Undetermined, generator: np.random.Generator
) -> Channel | Undetermined:
    """The channel from one signal to another with the declared noise. Noise of all units, seen
    along a few directions, is Gaussian again, and is drawn there."""
    if isinstance(before, Undetermined):
        return before
    if isinstance(after, Undetermined):
        return after
    drawn = torch.from_numpy(generator.standard_normal(after.coordinates.shape))
    responses = after.coordinates + drawn @ after.noise.T
    return Channel(before, after, responses)


def non_monotone(
    x: Float[Tensor, "samples 1"], y: Float[Tensor, "samples 1"], seen: Value | None = None
) -> bool | None:
    """Whether neighbours see far more dependence in a pair than the Gaussian copula; None where
    one of the two is undetermined. `seen` is `ksg` of the pair, where that is known already. The
    jackknife runs only where the excess is large enough."""
    if seen is None:
        seen = ksg(x.numpy(), y.numpy())
    scores = Scores(x, y)
    if isinstance(seen, Undetermined) or isinstance(scores.nats, Undetermined):
        return None
    excess = seen - scores.nats
    if excess <= EXCESS:
        return False
    left_out = ksg_left_out(x.numpy(), y.numpy()) - scores.left_out()
    return excess > EXCESS_ERRORS * spread(left_out.tolist())


def channel(probe: Probe, layer: int) -> Channel | Undetermined:
    """From what the layer before hands on (z, of the first layer: the inputs) to the z of this
    one; computed once a probe."""

    def made() -> Channel | Undetermined:
        generator = probe.draw("channel noise", layer)
        return noisy_channel(_view(probe, layer), _view(probe, layer + 1), generator)

    return probe.once(f"channel {layer}", made)


def _view(probe: Probe, index: int) -> View | Undetermined:
    """Of the inputs for index 0, of the z of sparse layer index - 1 above."""
    most = most_components(probe)
    if index == 0:
        first = probe.layers[0].inputs
        return probe.once_for_inputs(
            "view", lambda: view(first, most, portrait(probe, 0).components)
        )
    return probe.once(f"view {index}", lambda: view(probe.layers[index - 1].z, most))


def read_signal(probe: Probe, index: int, reader: ReaderName = "linear") -> Reading | Undetermined:
    """What a reader finds about the labels in the inputs (index 0) or in the activations of sparse
    layer index - 1; the logits come last. Computed once a probe and reader. Folds are the same for
    all signals. The reader `mlp` takes 0.2 s a signal."""
    if most_components(probe) < 1:
        return FEW

    def made() -> Reading | Undetermined:
        scores = portrait(probe, index).components.scores
        return read_labels(scores, probe.labels, probe.draw("readers"), reader)

    if index == 0:
        return probe.once_for_inputs(f"{reader} reading", made)
    return probe.once(f"{reader} reading {index}", made)


@metric("label_information", group="information", unit="nats", low=0, high=None, better="higher")
def label_information(probe: Probe) -> Measurement:
    """What a linear reader finds in a layer's activations about the labels: a lower bound of their
    mutual information, between 0 and H(Y).

    Layers: all sparse layers, the output layer's being what the logits tell. Total: the output
    layer's. Detail: `inputs` and `layers`, each with the unclipped value, its standard error,
    the reader's accuracy.
    """
    found = _readings(probe)
    values = _each(found, lambda one: one.clipped)
    told = [_told(one) for one in found]
    return Measurement(values[-1], tuple(values[1:]), {"inputs": told[0], "layers": told[1:]})


@metric("label_efficiency", group="information", unit="share", low=0, high=1, better="higher")
def label_efficiency(probe: Probe) -> Measurement:
    """Label information as a share of the entropy of the labels.

    Layers: all sparse layers. Total: the output layer's. Detail: that of the inputs.
    """
    values = _each(_readings(probe), lambda one: one.efficiency)
    inputs = None if isinstance(values[0], Undetermined) else values[0]
    return Measurement(values[-1], tuple(values[1:]), {"inputs": inputs})


@metric("layer_information", group="information", unit="nats", low=None, high=None, better="higher")
def layer_information(probe: Probe) -> Measurement:
    """What a layer's z tells about the z of the layer before (the inputs), with noise of a tenth
    of each unit's standard deviation, under a Gaussian copula.

    Layers: all sparse layers. Total: the smallest. Detail by layer: 95 % interval, what row
    permutations give, whether the value is above their 95 % quantile (else it is not
    distinguishable from 0), whether the samples can resolve as much, dimensions and captured
    variance of both views, and the flag `non_monotone`.
    """
    channels = _channels(probe)
    found = [_informed(probe, layer, one) for layer, one in enumerate(channels)]
    values = _each(found, lambda one: one.nats)
    told = [_told_of(probe, layer, one, channels[layer]) for layer, one in enumerate(found)]
    return Measurement(least(values), tuple(values), {"layers": told})


@metric("ksg", group="information", unit="nats", low=None, high=None, better=None)
def leading_ksg(probe: Probe) -> Measurement:
    """Information between the leading components of the channel of `layer_information`, by
    distances to neighbours: also what is not monotone.

    Layers: all sparse layers. Total: the smallest.
    """
    values = [_leading_ksg(probe, layer, one) for layer, one in enumerate(_channels(probe))]
    return Measurement(least(values), tuple(values))


@metric("seed_legacy_binned", group="information", unit="nats", low=None, high=None, better=None)
def leading_binned(probe: Probe) -> Measurement:
    """Information between the leading components of the channel of `layer_information`, by ten
    equal-frequency bins a side, corrected for bias.

    Layers: all sparse layers. Total: the smallest. Detail by layer: the uncorrected value, bins.
    """
    found: list[BinnedInformation | Undetermined] = []
    for one in _channels(probe):
        if isinstance(one, Undetermined):
            found.append(one)
        else:
            x, y = one.leading_pair
            found.append(binned_information(x[:, 0].numpy(), y[:, 0].numpy()))
    values = _each(found, lambda one: one.corrected)
    return Measurement(least(values), tuple(values), {"layers": [_told(one) for one in found]})


def _readings(probe: Probe) -> list[Reading | Undetermined]:
    return [read_signal(probe, index) for index in range(len(probe.layers) + 1)]


def _channels(probe: Probe) -> list[Channel | Undetermined]:
    return [channel(probe, layer) for layer in range(len(probe.layers))]


def _informed(
    probe: Probe, layer: int, through: Channel | Undetermined
) -> CopulaInformation | Undetermined:
    if isinstance(through, Undetermined):
        return through
    generator = probe.draw("channel permutations", layer)
    return copula_information(through.before.coordinates, through.responses, generator)


def _leading_ksg(probe: Probe, layer: int, through: Channel | Undetermined) -> Value:
    """Of the leading components of a layer's channel, computed once a probe."""
    if isinstance(through, Undetermined):
        return through
    x, y = through.leading_pair
    return probe.once(f"leading ksg {layer}", lambda: ksg(x.numpy(), y.numpy()))


def _each(found: Sequence[T | Undetermined], value: Callable[[T], float]) -> list[Value]:
    """The value of each that was found; the reason where it was not."""
    return [one if isinstance(one, Undetermined) else value(one) for one in found]


def _told(one: Reading | BinnedInformation | Undetermined) -> dict[str, Any]:
    """As plain data; for what is undetermined its reason."""
    return {"undetermined": one.reason} if isinstance(one, Undetermined) else asdict(one)


def _told_of(
    probe: Probe,
    layer: int,
    one: CopulaInformation | Undetermined,
    through: Channel | Undetermined,
) -> dict[str, Any]:
    if isinstance(one, Undetermined):
        return {"undetermined": one.reason}
    assert isinstance(through, Channel)
    views = through.before, through.after
    dimensions = [side.coordinates.shape[1] for side in views]
    return {
        **asdict(one),
        "interval": list(one.interval),
        "distinguishable": one.distinguishable,
        "resolved": one.nats <= resolution(min(dimensions), len(through.responses)),
        "dimensions": dimensions,
        "captured": [side.captured for side in views],
        "non_monotone": non_monotone(*through.leading_pair, _leading_ksg(probe, layer, through)),
    }
