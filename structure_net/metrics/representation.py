"""How many directions a layer's activations fill, and how alike two layers see the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.errors import UsageError
from structure_net.metrics.components import (
    Components,
    centred,
    components,
    eigenvalues,
    smaller_gram,
)
from structure_net.metrics.jackknife import GROUPS, groups_of, spread
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe

# Similarity compares every sample with every other; this many give a standard error near 0.01.
SIMILARITY_SAMPLES = 1024
# Components read from a signal, and how many samples there are at least for each.
MOST_COMPONENTS = 64
SAMPLES_PER_COMPONENT = 60
NO_HIDDEN_LAYER = Undetermined("the network has no hidden layer")
CONSTANT = Undetermined("the activations are the same on all samples")


def effective_rank_of(variances: Float[Tensor, " values"]) -> Value:
    """exp of the entropy of sigma / sum sigma, sigma^2 the variances along principal directions
    (Roy & Vetterli 2007): from 1 to their number."""
    if not len(variances):
        return CONSTANT
    shares = variances.double().sqrt()
    shares = shares / shares.sum()
    return float(torch.special.entr(shares).sum().exp())


def participation_ratio_of(variances: Float[Tensor, " values"]) -> Value:
    """(sum of variances)^2 / sum of their squares: from 1 to their number."""
    if not len(variances):
        return CONSTANT
    shares = variances.double() / variances.double().sum()
    return 1.0 / float(shares.square().sum())


def variances_of(signal: Float[Tensor, "samples units"]) -> Float[Tensor, " values"]:
    """Variances along the principal directions, times the samples; falling, without zeros."""
    return eigenvalues(smaller_gram(centred(signal.double())))


@dataclass(frozen=True)
class Similarity:
    """Linear CKA of two signals, in [-1, 1], 0 in the mean where they are independent; the
    standard error is None where there are too few samples for one."""

    value: float
    standard_error: float | None


class Kernel:
    """Inner products of samples, with the sums from which unbiased HSIC follows, for all samples
    and without each of 20 groups of them: the last place of a vector of 21 is that of all."""

    def __init__(self, products: Float[Tensor, "samples samples"]) -> None:
        self.products = products.double().clone().fill_diagonal_(0.0)
        samples = len(products)
        groups = torch.from_numpy(groups_of(samples))
        out = groups[:, None] == torch.arange(GROUPS + 1)
        self.inside = (~out).double()
        self._out = out.double()
        # Of each sample, with the samples that stay; 0 for a sample that is out itself.
        self._rows = (self.products @ self.inside) * self.inside
        self.alone = self.covariance(self)

    def covariance(self, other: Kernel) -> Float[Tensor, " places"]:
        """Unbiased HSIC (Song et al. 2012): [tr KL + 1'K1 1'L1 / ((n-1)(n-2)) - 2/(n-2) 1'KL1] /
        (n (n-3)), diagonals zero."""
        both = self.products * other.products
        with_out = both @ self._out
        # tr KL over the samples that stay: all pairs less those with one outside.
        trace = both.sum() - 2.0 * with_out.sum(0) + (with_out * self._out).sum(0)
        n = self.inside.sum(0)
        sums = self._rows.sum(0) * other._rows.sum(0) / ((n - 1) * (n - 2))
        cross = (self._rows * other._rows).sum(0) * 2 / (n - 2)
        return (trace + sums - cross) / (n * (n - 3))

    def similarity(self, other: Kernel) -> Similarity | Undetermined:
        """CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), with its jackknife error."""
        if len(self.products) != len(other.products):
            raise UsageError(
                f"Two signals are compared on the same samples, not on {len(self.products)} and "
                f"{len(other.products)}."
            )
        if not (self.sound and other.sound):
            return Undetermined("one of the signals is constant, or there are too few samples")
        values = self.covariance(other) / (self.alone * other.alone).sqrt()
        left_out = values[:GROUPS]
        # Four samples are the fewest that HSIC is made of.
        error = spread(left_out.tolist()) if len(self.products) >= 2 * GROUPS else None
        return Similarity(max(-1.0, min(1.0, float(values[-1]))), error)

    @property
    def sound(self) -> bool:
        """Whether the signal varies, with and without each group."""
        alone = self.alone if len(self.products) >= 2 * GROUPS else self.alone[-1:]
        return bool((alone > 0).all()) and len(self.products) > 3


def linear_cka(
    first: Float[Tensor, "_ left"], second: Float[Tensor, "_ right"]
) -> Similarity | Undetermined:
    """Similarity of two signals on the same samples, of which the first 1,024 count: two layers,
    or the same layer of two networks. Turning, scaling and shifting a signal change nothing."""
    kernels = [Kernel(_products(signal)) for signal in (first, second)]
    return kernels[0].similarity(kernels[1])


def _products(signal: Float[Tensor, "samples units"]) -> Float[Tensor, "samples samples"]:
    few = centred(signal[:SIMILARITY_SAMPLES].double())
    return few @ few.T


@dataclass(frozen=True)
class Portrait:
    """What the metrics take from one wide signal, so that its Gram matrix need not be kept;
    `similarity` is to the signal before, None for the inputs."""

    units: int
    variances: Float[Tensor, " values"]
    components: Components
    similarity: Similarity | Undetermined | None


def portrait(probe: Probe, index: int) -> Portrait:
    """Of the inputs for index 0, of the activations of sparse layer index - 1 above; the logits
    are the last. All are made together, once a probe."""
    return probe.once("portraits", partial(_portraits, probe))[index]


def _portraits(probe: Probe) -> tuple[Portrait, ...]:
    """In order: of the kernels, 8 MB each, only two are ever there."""
    made: list[Portrait] = []
    before: Kernel | None = None
    for index in range(len(probe.layers) + 1):
        one, before = _portrait(probe, index, before)
        made.append(one)
    return tuple(made)


def _portrait(probe: Probe, index: int, before: Kernel | None) -> tuple[Portrait, Kernel]:
    """A portrait, and the kernel for the next one; `before` is that of the signal before."""
    signal = probe.layers[0].inputs if index == 0 else probe.layers[index - 1].activations
    whole = centred(signal.double())
    gram = smaller_gram(whole)
    few = whole[:SIMILARITY_SAMPLES]
    of_samples = whole.shape[0] < whole.shape[1]
    kernel = Kernel(gram[: len(few), : len(few)] if of_samples else few @ few.T)
    hidden = 0 < index < len(probe.layers)
    variances = eigenvalues(gram) if hidden else gram.new_empty(0)
    found = components(whole, most_components(probe), gram)
    similarity = None if before is None else before.similarity(kernel)
    return Portrait(signal.shape[1], variances, found, similarity), kernel


def most_components(probe: Probe) -> int:
    """How many components may be read on this many samples."""
    return min(MOST_COMPONENTS, probe.samples // SAMPLES_PER_COMPONENT)


def least(values: Sequence[Value]) -> Value:
    """The smallest; where one is undetermined, that one."""
    missing = next((value for value in values if isinstance(value, Undetermined)), None)
    if missing is not None:
        return missing
    return min(value for value in values if not isinstance(value, Undetermined))


@metric("effective_rank", group="information", unit="directions", low=1, high=None, better="higher")
def effective_rank(probe: Probe) -> Measurement:
    """Directions that a layer's activations fill: exp of the entropy of their singular values.

    Layers: the hidden layers. Total: the smallest. Detail: shares of the width.
    """
    return _of_hidden(probe, [effective_rank_of(one.variances) for one in _hidden(probe)])


@metric(
    "participation_ratio", group="information", unit="directions", low=1, high=None, better="higher"
)
def participation_ratio(probe: Probe) -> Measurement:
    """Directions that carry a layer's variance: (sum of variances)^2 / sum of their squares.

    Layers: the hidden layers. Total: the smallest. Detail: shares of the width.
    """
    return _of_hidden(probe, [participation_ratio_of(one.variances) for one in _hidden(probe)])


def _hidden(probe: Probe) -> list[Portrait]:
    return [portrait(probe, place + 1) for place in probe.hidden_places]


def _of_hidden(probe: Probe, values: list[Value]) -> Measurement:
    if not values:
        return Measurement(NO_HIDDEN_LAYER)
    widths = [one.units for one in _hidden(probe)]
    shares = [
        None if isinstance(value, Undetermined) else value / width
        for value, width in zip(values, widths, strict=True)
    ]
    return Measurement(least(values), tuple(values), {"share_of_width": shares})


@metric("linear_cka", group="information", unit="similarity", low=-1, high=1, better=None)
def consecutive_similarity(probe: Probe) -> Measurement:
    """Similarity of what a layer receives and what it gives on: linear CKA, unbiased HSIC.

    Layers: all sparse layers; the inputs of the network stand before the first, the logits after
    the last. Total: the mean. Detail: standard errors.
    """
    values: list[Value] = []
    errors: list[Any] = []
    for index in range(1, len(probe.layers) + 1):
        one = portrait(probe, index).similarity
        assert one is not None  # the inputs alone have no signal before
        values.append(one if isinstance(one, Undetermined) else one.value)
        errors.append(None if isinstance(one, Undetermined) else one.standard_error)
    numbers = [value for value in values if not isinstance(value, Undetermined)]
    total = sum(numbers) / len(numbers) if len(numbers) == len(values) else least(values)
    return Measurement(total, tuple(values), {"standard_errors": errors})
