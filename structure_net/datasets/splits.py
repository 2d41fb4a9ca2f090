"""Stratified partitions, and the statistics inputs are standardised with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from structure_net.datasets.source import Array, rows
from structure_net.errors import DataError
from structure_net.seeding import derive

if TYPE_CHECKING:
    from structure_net.datasets.dataset import Dataset

TEST_SHARE = 0.2  # held out where a source has no test part
CONSTANT = 1e-8  # a standard deviation below this is rounding: such an input counts as constant


@dataclass(frozen=True, eq=False)
class Split:
    """Sample numbers of the two parts, int64, ascending, disjoint, together every sample."""

    train: Array
    validation: Array


def _quotas(counts: Array, wanted: int, least: int, spare: int) -> Array:
    """How many to draw from each class: in proportion, at least `least`, leaving `spare`.

    Largest remainder: the floor of each share, then single samples where most is missing.
    """
    highest = np.maximum(counts - spare, 0)
    lowest = np.minimum(highest, least)
    share = counts * (wanted / max(int(counts.sum()), 1))
    quotas = np.clip(np.floor(share).astype(np.int64), lowest, highest)
    while missing := wanted - int(quotas.sum()):
        step = 1 if missing > 0 else -1
        free = quotas < highest if step > 0 else quotas > lowest
        places = np.argsort(step * (quotas - share), kind="stable")
        places = places[free[places]][: abs(missing)]
        if len(places) == 0:
            break
        quotas[places] += step
    return quotas


def drawn(
    labels: Array, wanted: int, generator: np.random.Generator, least: int = 1, spare: int = 1
) -> Array:
    """Sample numbers, ascending, every class in proportion.

    Exactly `wanted` unless the bounds forbid it: each class gives at least `least` samples and
    keeps at least `spare` (a class too small for both gives what it can).
    """
    counts = np.bincount(labels)
    order = generator.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    starts = np.cumsum(counts) - counts
    quotas = _quotas(counts, wanted, least, spare)
    parts = [by_class[start : start + quota] for start, quota in zip(starts, quotas, strict=True)]
    return np.sort(np.concatenate(parts)).astype(np.int64)


def remaining(count: int, taken: Array) -> Array:
    """The sample numbers below `count` that are not in `taken`, ascending."""
    free = np.ones(count, dtype=bool)
    free[taken] = False
    return np.flatnonzero(free).astype(np.int64)


def held_out(labels: Array) -> Array:
    """Sample numbers of the fixed fifth that becomes the test part; no run's seed enters."""
    wanted = round(TEST_SHARE * len(labels))
    return drawn(labels, wanted, derive(0, "held-out test part"))


def limited(labels: Array, limit: int) -> Array:
    """Sample numbers of the fixed stratified subset of `limit` training samples."""
    present = len(np.unique(labels))
    if limit < 2 * present:
        raise DataError(
            f"A limit of {limit} training samples is too small: with {present} classes at least "
            f"{2 * present} are needed, one a class for training and one for validation."
        )
    return drawn(labels, limit, derive(0, "limit of the training part"), least=2, spare=0)


def split(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Training and validation samples, stratified, by the run's seed.

    `fraction` in (0, 1) is the share of validation. A class of two or more samples appears in
    both parts; a class of one in training only.
    """
    if not 0.0 < fraction < 1.0:
        raise DataError(f"The validation share must lie between 0 and 1, it is {fraction}.")
    labels = dataset.labels
    validation = drawn(labels, round(fraction * len(labels)), derive(seed, "split"))
    if len(validation) == 0:
        raise DataError(
            f"Dataset {dataset.name} has no class of two samples: there is nothing to validate on."
        )
    train = remaining(len(labels), validation)
    train.setflags(write=False)
    validation.setflags(write=False)
    return Split(train, validation)


def standardisation(images: Array, scale: float, indices: Array) -> tuple[Array, Array]:
    """Mean and standard deviation per channel (per feature of a table), float64.

    Of the values divided by `scale`, over the samples `indices`, population deviation; a
    deviation below 1e-8 counts as 1. Chunks are combined by Chan, Golub and LeVeque (1983),
    which is as accurate as two passes and never holds more than a chunk.
    """
    if len(indices) == 0:
        raise DataError("Mean and deviation of no samples were asked for.")
    channels = images.shape[1]
    count, mean, squares = 0, np.zeros(channels), np.zeros(channels)
    for part in rows(len(indices)):
        taken = images[indices[part]].astype(np.float64)
        values = taken.reshape(len(taken), channels, -1) / scale
        size = values.shape[0] * values.shape[2]
        own = values.mean(axis=(0, 2))
        values = values - own[:, None]
        gap = own - mean
        squares += np.einsum("ncp,ncp->c", values, values)
        squares += gap**2 * (count * size / (count + size))
        mean += gap * (size / (count + size))
        count += size
    deviation = np.sqrt(squares / count)
    return mean, np.where(deviation < CONSTANT, 1.0, deviation)
