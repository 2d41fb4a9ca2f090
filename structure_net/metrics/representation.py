"""How many directions a layer's activations fill, and how alike two layers see the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.errors import UsageError
from structure_net.metrics.components import (
    COMPLETE,
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
# Sums over pairs of samples come from features where these have so many times fewer products.
NARROW = 16
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
    and without each of 20 groups of them: the last place of a vector of 21 is that of all.

    `features` are centred, float64; `products`, their inner products, are made where they are
    wanted, if they are not given.
    """

    def __init__(
        self,
        features: Float[Tensor, "samples columns"],
        products: Float[Tensor, "samples samples"] | None = None,
    ) -> None:
        self._features, self._given = features, products
        samples, columns = features.shape
        groups = torch.from_numpy(groups_of(samples))
        self.inside = (groups[:, None] != torch.arange(GROUPS + 1)).double()
        if columns > samples:
            self._own = self._products.diagonal()
            rows = self._products @ self.inside
        else:
            self._own = features.square().sum(1)
            rows = features @ (features.t() @ self.inside)
        # Of each sample, with the other samples that stay; 0 for a sample that is out itself.
        self._rows = (rows - self._own[:, None]) * self.inside
        self.alone = self.covariance(self)

    def __len__(self) -> int:
        return len(self._features)

    @cached_property
    def _products(self) -> Float[Tensor, "samples samples"]:
        return _inner(self._features) if self._given is None else self._given

    def covariance(self, other: Kernel) -> Float[Tensor, " places"]:
        """Unbiased HSIC (Song et al. 2012): [tr KL + 1'K1 1'L1 / ((n-1)(n-2)) - 2/(n-2) 1'KL1] /
        (n (n-3)), diagonals zero."""
        trace = self._traces(other) - (self._own * other._own) @ self.inside
        n = self.inside.sum(0)
        sums = self._rows.sum(0) * other._rows.sum(0) / ((n - 1) * (n - 2))
        cross = (self._rows * other._rows).sum(0) * 2 / (n - 2)
        return (trace + sums - cross) / (n * (n - 3))

    def _traces(self, other: Kernel) -> Float[Tensor, " places"]:
        """tr KL over the samples that stay, with the diagonals."""
        x, y = self._features, other._features
        if x.shape[1] * y.shape[1] <= len(x) ** 2 // NARROW:
            # The square norm of X'Y: without a group, of what its samples do not bring.
            whole = x.t() @ y
            parts = [x[group::GROUPS].t() @ y[group::GROUPS] for group in range(GROUPS)]
            norms = [(whole - part).square().sum() for part in parts]
            return torch.stack([*norms, whole.square().sum()])
        k, m = self._products.numpy(), other._products.numpy()
        rows = np.einsum("ij,ij->i", k, m)
        places = range(GROUPS)
        with_out = np.array([rows[group::GROUPS].sum() for group in places])
        within = np.array(
            [
                (k[group::GROUPS, group::GROUPS] * m[group::GROUPS, group::GROUPS]).sum()
                for group in places
            ]
        )
        # All pairs less those with one outside.
        return torch.from_numpy(np.append(rows.sum() - 2.0 * with_out + within, rows.sum()))

    def similarity(self, other: Kernel) -> Similarity | Undetermined:
        """CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), with its jackknife error."""
        if len(self) != len(other):
            raise UsageError(
                f"Two signals are compared on the same samples, not on {len(self)} and "
                f"{len(other)}."
            )
        if not (self.sound and other.sound):
            return Undetermined("one of the signals is constant, or there are too few samples")
        values = self.covariance(other) / (self.alone * other.alone).sqrt()
        left_out = values[:GROUPS]
        # Four samples are the fewest that HSIC is made of.
        error = spread(left_out.tolist()) if len(self) >= 2 * GROUPS else None
        return Similarity(max(-1.0, min(1.0, float(values[-1]))), error)

    @property
    def sound(self) -> bool:
        """Whether the signal varies, with and without each group."""
        alone = self.alone if len(self) >= 2 * GROUPS else self.alone[-1:]
        return bool((alone > 0).all()) and len(self) > 3


def linear_cka(
    first: Float[Tensor, "_ left"], second: Float[Tensor, "_ right"]
) -> Similarity | Undetermined:
    """Similarity of two signals on the same samples, of which the first 1,024 count: two layers,
    or the same layer of two networks. Turning, scaling and shifting a signal change nothing."""
    one, other = (
        Kernel(centred(signal[:SIMILARITY_SAMPLES].double())) for signal in (first, second)
    )
    return one.similarity(other)


def _inner(features: Float[Tensor, "samples columns"]) -> Float[Tensor, "samples samples"]:
    """By numpy, which computes one half of it."""
    return torch.from_numpy(features.numpy() @ features.numpy().T)


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
    """In order: of the kernels, up to 8 MB each, only two are ever there."""
    most = most_components(probe)
    first, before = probe.once_for_inputs(
        "portrait", lambda: _portrait(probe.layers[0].inputs, most, None)
    )
    made = [first]
    for index, layer in enumerate(probe.layers):
        hidden = index < len(probe.layers) - 1
        one, before = _portrait(layer.activations, most, before, variances=hidden)
        made.append(one)
    return tuple(made)


def _portrait(
    signal: Float[Tensor, "samples units"],
    most: int,
    before: Kernel | None,
    *,
    variances: bool = False,
) -> tuple[Portrait, Kernel]:
    """A portrait, and the kernel for the next one; `before` is that of the signal before."""
    # Where components come from float32 and no small variance is asked for, all of it is float32.
    exact = variances or min(signal.shape) <= COMPLETE
    whole = centred(signal.double() if exact else signal)
    gram = smaller_gram(whole)
    few, products = whole[:SIMILARITY_SAMPLES].double(), None
    if whole.shape[0] < whole.shape[1]:
        products = gram[: len(few), : len(few)].double().clone()
    kernel = Kernel(few, products)
    found = components(whole, most, gram)
    similarity = None if before is None else before.similarity(kernel)
    values = gram.new_empty(0)
    if variances:
        values = eigenvalues(gram) if found.spectrum is None else found.spectrum
    return Portrait(signal.shape[1], values, found, similarity), kernel


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
