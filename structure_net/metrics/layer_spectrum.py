"""Singular values of each layer's matrix: how it spreads what it gets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe
from structure_net.metrics.spectrum import DENSE, LARGEST_RESIDUAL, extreme


@dataclass(frozen=True)
class LayerSpectrum:
    """Singular values of one layer's matrices, each Undetermined on its own."""

    first: Value  # sigma_1 of |W|
    second: Value  # sigma_2 of |W|
    wiring_second: Value  # sigma_2 of the 0/1 matrix
    wiring_random: float  # what a random layer of the same degrees has
    stable_rank: Value  # ||W||_F^2 / sigma_1^2 of W itself, signs and all


def layer_spectra(probe: Probe) -> list[LayerSpectrum]:
    """The singular values of each sparse layer, solved once a probe."""
    return probe.once(
        "layer spectra",
        lambda: [_layer_spectrum(probe, index) for index in range(len(probe.layers))],
    )


def singular_values(
    matrix: Any, count: int, generator: np.random.Generator
) -> list[float] | Undetermined:
    """The `count` largest singular values of a scipy CSR matrix, 0 past its smaller side.

    The eigenvalues of the product of the matrix and its transpose are their squares; the residual
    is held to LARGEST_RESIDUAL of the largest of those.
    """
    if not bool(np.isfinite(matrix.data).all()):
        return Undetermined("a weight is not finite")
    if not matrix.data.any():
        return Undetermined("the layer has no weight other than 0")
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T.tocsr()
    if wide.shape[0] <= DENSE:
        values = np.linalg.svd(wide.toarray(), compute_uv=False).tolist()
        return [*values, *([0.0] * count)][:count]
    tall = wide.T.tocsr()
    start = generator.standard_normal(wide.shape[0])
    found = extreme(lambda x: wide @ (tall @ x), wide.shape[0], "LA", count, start)
    if isinstance(found, Undetermined):
        return found
    if bool((found.residuals > LARGEST_RESIDUAL * found.values[0]).any()):
        return Undetermined(f"the residual is above {LARGEST_RESIDUAL:.0e} of the eigenvalue")
    return [math.sqrt(max(0.0, float(value))) for value in found.values]


def _layer_spectrum(probe: Probe, index: int) -> LayerSpectrum:
    from scipy.sparse import csr_array

    layer = probe.layers[index]
    lists = layer.connections

    def singular(values: np.ndarray, count: int, name: str) -> list[Value]:
        matrix = csr_array(
            (values, lists.columns, lists.row_pointers), shape=(lists.units, lists.sources)
        )
        found = singular_values(matrix, count, probe.draw("spectrum", name, index))
        return [found] * count if isinstance(found, Undetermined) else list(found)

    weights = layer.weights.astype(np.float64)
    first, second = singular(np.abs(weights), 2, "sizes")
    _, wiring_second = singular(np.ones(len(weights)), 2, "wiring")
    (signed,) = singular(weights, 1, "weights")
    rank: Value = signed
    if not isinstance(signed, Undetermined):
        # sigma_1 of a matrix of rank one is its norm, up to rounding.
        rank = max(1.0, float(weights @ weights) / signed**2)
    random = math.sqrt(_used(lists.fan_in) - 1.0) + math.sqrt(_used(lists.fan_out) - 1.0)
    return LayerSpectrum(first, second, wiring_second, random, rank)


def _used(degrees: Int[np.ndarray, " nodes"]) -> float:
    """Mean degree of the nodes that have a connection, at least 1."""
    return max(1.0, float(degrees.sum() / max(1, np.count_nonzero(degrees))))


def _gap(layer: LayerSpectrum) -> Value:
    if isinstance(layer.first, Undetermined):
        return layer.first
    if isinstance(layer.second, Undetermined):
        return layer.second
    return min(1.0, max(0.0, 1.0 - layer.second / layer.first))


def _wiring(layer: LayerSpectrum) -> Value:
    if isinstance(layer.wiring_second, Undetermined):
        return layer.wiring_second
    if layer.wiring_random == 0.0:
        return Undetermined("no node of the layer has two connections")
    return layer.wiring_second / layer.wiring_random


def _by_layer(layers: tuple[Value, ...], total: Callable[[list[float]], float]) -> Measurement:
    """What `total` makes of the layers; undetermined when one of them is, and as that one."""
    numbers = [value for value in layers if not isinstance(value, Undetermined)]
    lost = [value for value in layers if isinstance(value, Undetermined)]
    return Measurement(lost[0] if lost else total(numbers), layers)


def _plain(value: Value) -> float | None:
    return None if isinstance(value, Undetermined) else value


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@metric("spectral_gap", group="graph", unit="ratio", low=0, high=1, better=None)
def spectral_gap(probe: Probe) -> Measurement:
    """1 - sigma_2 / sigma_1 of |W|: how far one pattern of flow outweighs all others in a layer.

    Layers: all sparse layers; the total is the smallest. The detail has sigma_1 and sigma_2.
    """
    spectra = layer_spectra(probe)
    found = _by_layer(tuple(_gap(layer) for layer in spectra), min)
    detail = {
        "sigma_1": [_plain(layer.first) for layer in spectra],
        "sigma_2": [_plain(layer.second) for layer in spectra],
    }
    return Measurement(found.total, found.layers, detail)


@metric("wiring_second", group="graph", unit="ratio", low=0, high=None, better=None)
def wiring_second(probe: Probe) -> Measurement:
    """sigma_2 of a layer's 0/1 matrix over that of random wiring of the same mean degrees.

    A check of sanity, not a score. Layers: all sparse layers; the total is the largest.
    """
    return _by_layer(tuple(_wiring(layer) for layer in layer_spectra(probe)), max)


@metric("stable_rank", group="graph", unit="ratio", low=1, high=None, better="higher")
def stable_rank(probe: Probe) -> Measurement:
    """Squared Frobenius norm of W over its largest squared singular value.

    Layers: all sparse layers; the total is their mean.
    """
    return _by_layer(tuple(layer.stable_rank for layer in layer_spectra(probe)), _mean)
