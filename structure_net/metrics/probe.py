"""One look at a network: what each sparse layer receives, computes and passes back on a sample.

One forward pass and, at their first use, two backward passes, all in evaluation form. Nothing of
the network changes: no weight, gradient, mode, hook, generator or thread setting. The sweeps are
written out here, not left to autograd: they need derivatives of every sample on its own, which
costs one product a layer, and they leave no graph behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from structure_net.errors import UsageError
from structure_net.genome import Activation, Normalisation
from structure_net.metrics.sweep import Sweep
from structure_net.networks import Connections, Network
from structure_net.seeding import PathPart, derive

T = TypeVar("T")

# What reading the field gives; made at first use, it is given as a function.
if TYPE_CHECKING:
    Derivatives = Float[Tensor, "samples units"]
    Mask = Bool[np.ndarray, " inputs"]
else:
    Derivatives = Float[Tensor, "samples units"] | Callable[[], object]
    Mask = Bool[np.ndarray, " inputs"] | Callable[[], object]


class _AtFirstUse:
    """A field given as an array, or as a function that makes it when it is first read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = "_" + name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            raise AttributeError(self._name)  # tells `dataclass` that there is no default
        held = instance.__dict__[self._name]
        if callable(held):
            held = instance.__dict__[self._name] = held()
        return held

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value


def _at_first_use() -> Any:
    return _AtFirstUse()


@dataclass(frozen=True)
class ProbedLayer:
    """One sparse layer on the probe samples; tensors are float32 on the processor.

    `inputs` are h, `z` the arguments of the activation (after normalisation and bias),
    `activations` phi(z), for the output layer the logits. `derivatives` are those of each sample's
    own cross-entropy (nats, true labels) by u = W h, the product before normalisation and bias;
    without normalisation they are those by z. In `sampled_derivatives` the labels are drawn once a
    sample from what the network predicts. Both may be given as functions, called at first use.

    `skip` above 0: it ends a residual block. What entered the block, the activations of the layer
    so many places before, is added to its products; `z` and `activations` are the sums, and there
    are no biases. Where hidden layers are normalised, the first `members` units move the scale;
    None: all do.
    """

    connections: Connections
    weights: Float[np.ndarray, " connections"]
    biases: Float[np.ndarray, " biases"]
    inputs: Float[Tensor, "samples sources"]
    z: Float[Tensor, "samples units"]
    activations: Float[Tensor, "samples units"]
    derivatives: Derivatives = _at_first_use()  # noqa: RUF009
    sampled_derivatives: Derivatives = _at_first_use()  # noqa: RUF009
    skip: int = 0
    members: int | None = None


@dataclass(frozen=True)
class Probe:
    """A network on a fixed sample: what a metric is a function of.

    `layers` go from the input side to the output layer. `constant_inputs` are inputs of the network
    that are the same on all samples; the field may be given as a function. Draws come from `draw`
    and depend on `seed`, `path` and their purpose alone.
    """

    layers: tuple[ProbedLayer, ...]
    labels: Int[Tensor, " samples"]
    classes: int
    constant_inputs: Mask = _at_first_use()  # noqa: RUF009
    activation: Activation = "relu"
    normalisation: Normalisation = "none"
    seed: int = 0
    path: tuple[PathPart, ...] = ()
    of_inputs: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _shared: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def hidden(self) -> tuple[ProbedLayer, ...]:
        """The layers of hidden units, those inside residual blocks too: all but the output layer
        and those that end a block."""
        return tuple(self.layers[index] for index in self.hidden_places)

    @property
    def hidden_places(self) -> tuple[int, ...]:
        """Places of `hidden` among `layers`."""
        return tuple(n for n, layer in enumerate(self.layers[:-1]) if not layer.skip)

    @property
    def around(self) -> dict[int, int]:
        """For each layer behind which a residual block begins, the layer that ends the block."""
        return {end - one.skip: end for end, one in enumerate(self.layers) if one.skip}

    @property
    def samples(self) -> int:
        return len(self.labels)

    def draw(self, *purpose: PathPart) -> np.random.Generator:
        """A fresh generator for the purpose named; the same for every probe of this path."""
        return derive(self.seed, *self.path, *purpose)

    def once_for_inputs(self, key: str, function: Callable[[], T]) -> T:
        """As `once`, for what follows from the inputs, the labels and `draw` alone, whatever the
        network: computed once for all probes that share `of_inputs`."""
        if key not in self.of_inputs:
            self.of_inputs[key] = function()
        return cast(T, self.of_inputs[key])

    def once(self, key: str, function: Callable[[], T]) -> T:
        """What `function` gives, computed at the first call for `key` and kept with this probe:
        for what several metrics need. Nobody may change it."""
        if key not in self._shared:
            self._shared[key] = function()
        return cast(T, self._shared[key])


def probe(
    network: Network,
    inputs: Float[Tensor, "samples inputs"],
    labels: Int[Tensor, " samples"],
    classes: int,
    *,
    path: tuple[PathPart, ...],
    seed: int = 0,
    first_products: Float[Tensor, "units samples"] | None = None,
    of_inputs: dict[str, Any] | None = None,
) -> Probe:
    """The network on these samples (standardised inputs, class numbers below `classes`), computed
    where the network lies and held on the processor. `first_products` are u = W h of the first
    layer, where somebody has them already; they are used up. `of_inputs` is shared with other
    probes of the same inputs, labels, seed and path. UsageError where samples do not fit.
    """
    _check(network, inputs, labels, classes)
    labels = labels.detach().cpu().long()
    with torch.no_grad():
        sweep = Sweep(network, inputs, first_products)
    activations = [_shown(one) for one in sweep.activations]

    def drawn_labels() -> Tensor:
        likely = functional.softmax(activations[-1].double(), 1).cumsum(1)
        points = torch.from_numpy(derive(seed, *path, "sampled labels").random(len(labels)))
        return (points[:, None] * likely[:, -1:] >= likely).sum(1).clamp(max=classes - 1)

    true = cache(lambda: _back(sweep, labels))
    sampled = cache(lambda: _back(sweep, drawn_labels()))
    received = [_shown(sweep.inputs), *activations]
    layers = tuple(
        ProbedLayer(
            connections=network.layer(index).connections,
            weights=_array(network.weights(index)),
            biases=_array(network.biases(index)),
            inputs=received[index],
            z=_shown(sweep.z[index]),
            activations=activations[index],
            derivatives=_later(true, index),
            sampled_derivatives=_later(sampled, index),
            skip=plan.skip,
            members=plan.members if plan.grown else None,
        )
        for index, plan in enumerate(network.genome.plans)
    )
    genome = network.genome
    return Probe(
        layers=layers,
        labels=labels,
        classes=classes,
        constant_inputs=_later(lambda: [_constant(received[0])], 0),
        activation=genome.activation,
        normalisation=genome.normalisation,
        seed=seed,
        path=path,
        of_inputs={} if of_inputs is None else of_inputs,
    )


def led_on(probe: Probe, weights: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """For each sparse layer but the last, connections out of what each of its units gives, also
    those out of the sums of residual blocks behind it; with `weights`, one for each connection of
    each layer, their sums."""
    around, found = probe.around, dict[int, np.ndarray]()
    for index in reversed(range(len(probe.layers) - 1)):
        lists = probe.layers[index + 1].connections
        own = None if weights is None else weights[index + 1]
        found[index] = np.bincount(lists.columns, weights=own, minlength=lists.sources)
        if index in around:
            found[index] = found[index] + found[around[index]]
    return [found[index] for index in range(len(found))]


def _check(network: Network, inputs: Tensor, labels: Tensor, classes: int) -> None:
    if inputs.shape != (len(labels), network.genome.inputs) or len(labels) == 0:
        raise UsageError(
            f"A probe takes inputs [samples, {network.genome.inputs}] with one label each, not "
            f"{tuple(inputs.shape)} and {len(labels)} labels."
        )
    if (
        classes != network.genome.classes
        or not 0 <= int(labels.min()) <= int(labels.max()) < classes
    ):
        raise UsageError(
            f"A probe of a network with {network.genome.classes} logits takes labels from 0 to "
            f"{network.genome.classes - 1}, not {int(labels.min())} to {int(labels.max())} of "
            f"{classes} classes."
        )


def _back(sweep: Sweep, labels: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return [_shown(one) for one in sweep.back(labels)]


def _later(passed: Callable[[], Sequence[Any]], index: int) -> Any:
    """For a field that is made at its first use."""
    return lambda: passed()[index]


def _shown(features_down: Float[Tensor, "units samples"]) -> Float[Tensor, "samples units"]:
    return features_down.cpu().t()


def _array(values: Tensor) -> np.ndarray:
    """A copy: what is probed must not change under the metrics when training goes on."""
    return values.detach().cpu().numpy().copy()


def _constant(inputs: Float[Tensor, "samples inputs"]) -> np.ndarray:
    return np.asarray((inputs == inputs[:1]).all(0).numpy())
