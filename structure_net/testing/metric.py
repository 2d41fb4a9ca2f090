"""The contract of a metric."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from structure_net.genome import (
    ACTIVATIONS,
    NORMALISATIONS,
    Activation,
    Genome,
    LayerGene,
    Normalisation,
)
from structure_net.metrics import Measurement, Metric, Probe, Undetermined, Value, probe
from structure_net.networks import Network, build_network
from structure_net.seeding import derive
from structure_net.testing.cases import hold, only_given_draws

INPUTS, CLASSES, SAMPLES = 12, 4, 800
SLACK = 1e-9  # beyond a declared bound: rounding of sums in double precision


def check_metric(metric: Metric, *, seed: int = 0) -> None:
    """A measurement of every probe: finite numbers in the declared range, or undetermined with a
    reason; details that are plain JSON; the same each time, with nothing changed.

    Networks of every activation and normalisation, of no to three hidden layers; untrained, with
    units that never fire, without any signal; many samples, few, one, all the same; of one class.
    """
    try:
        for case, seen, again in _cases(seed):
            _check(metric, f"{metric.name} on {case}", seen, again)
    except BaseException:
        _cases.cache_clear()  # what broke may have changed a probe that others would look at
        raise


def _check(metric: Metric, place: str, seen: Probe, again: Probe) -> None:
    before = _content(seen)
    # Checkers of types may draw from Python's own generator inside; a measurement that depends on
    # it does not come out the same twice.
    with only_given_draws(metric.name, of=("numpy", "torch")):
        found, repeated = metric.measure(seen), metric.measure(again)
    _check_numbers(metric, found, place)
    hold(_plain(found) == _plain(repeated), f"{place}: two equal probes, two measurements.")
    hold(_content(seen) == before, f"{place}: the probe was changed; work on copies.")
    hold(not _has_gradient(seen), f"{place}: tensors of the probe were made to want gradients.")


def _check_numbers(metric: Metric, found: Measurement, place: str) -> None:
    hold(isinstance(found, Measurement), f"{place}: {found!r} is no Measurement.")
    low = -math.inf if metric.low is None else metric.low - SLACK
    high = math.inf if metric.high is None else metric.high + SLACK
    for value in (found.total, *found.layers):
        if isinstance(value, Undetermined):
            hold(bool(value.reason.strip()), f"{place}: undetermined without a reason.")
            continue
        hold(
            math.isfinite(value),
            f"{place}: {value}. Where there is no number, give Undetermined with the reason.",
        )
        hold(low <= value <= high, f"{place}: {value} is outside {metric.low} to {metric.high}.")


@cache
def _cases(seed: int) -> tuple[tuple[str, Probe, Probe], ...]:
    """(what it is, a probe, the same probe again): made once for all metrics, which may not change
    a probe, and share what is computed once for each."""
    return tuple(_made(seed))


def _made(seed: int) -> Iterator[tuple[str, Probe, Probe]]:
    generator = derive(seed, "checked metrics")
    inputs = torch.from_numpy(generator.standard_normal((SAMPLES, INPUTS))).float()
    labels = torch.from_numpy(generator.integers(0, CLASSES, SAMPLES))
    for activation in ACTIVATIONS:
        for normalisation in NORMALISATIONS:
            network = _network((16, 8), seed, activation, normalisation)
            yield _twice(f"{activation} and {normalisation}", network, inputs, labels)
    for hidden in ((), (9,), (10, 10, 7)):
        yield _twice(f"hidden widths {hidden}", _network(hidden, seed), inputs, labels)
    network = _network((16, 8), seed)
    one, same = inputs[:1], inputs[:1].repeat(SAMPLES, 1)
    yield _twice("a single sample", network, one, labels[:1])
    yield _twice("samples that are all the same", network, same, labels)
    yield _twice("three samples", network, inputs[:3], labels[:3])
    yield _twice("fifty samples", network, inputs[:50], labels[:50])
    yield _twice("samples of one class only", network, inputs, labels * 0)
    yield _twice("one hidden unit", _network((1,), seed), inputs, labels)
    yield _twice("zeros for inputs", network, inputs * 0, labels)
    yield _twice("a first layer that never fires", _silent(_network((16, 8), seed)), inputs, labels)
    yield _twice("a network of zeros", _zero(_network((16, 8), seed)), inputs, labels)


def _network(
    hidden: tuple[int, ...],
    seed: int,
    activation: Activation = "relu",
    normalisation: Normalisation = "none",
) -> Network:
    """Half of the possible connections in every sparse layer, more where units were cut off."""
    shapes = list(pairwise((INPUTS, *hidden, CLASSES)))
    *densities, last = [max(n, m, n * m // 2) / (n * m) for n, m in shapes]
    genes = [
        LayerGene(width=width, density=density, innovation="checked")
        for width, density in zip(hidden, densities, strict=True)
    ]
    genome = Genome(
        inputs=INPUTS,
        classes=CLASSES,
        hidden=tuple(genes),
        output_density=last,
        activation=activation,
        normalisation=normalisation,
        base_learning_rate=0.003,
    )
    return build_network(genome, seed)


def _silent(network: Network) -> Network:
    with torch.no_grad():
        network.biases(0).fill_(-1000.0)
    return network


def _zero(network: Network) -> Network:
    with torch.no_grad():
        network.values.zero_()
    return network


def _twice(case: str, network: Network, inputs: Tensor, labels: Tensor) -> tuple[str, Probe, Probe]:
    classes = network.genome.classes
    one, other = (probe(network, inputs, labels, classes, path=("checked",)) for _ in range(2))
    return case, one, other


def _tensors(seen: Probe) -> Iterator[Tensor]:
    yield seen.labels
    for layer in seen.layers:
        for field in fields(layer):
            value = getattr(layer, field.name)
            if isinstance(value, Tensor):
                yield value


def _has_gradient(seen: Probe) -> bool:
    return any(tensor.requires_grad for tensor in _tensors(seen))


def _content(seen: Probe) -> list[bytes]:
    """Every number of a probe, to the bit."""
    arrays = [tensor.detach().numpy() for tensor in _tensors(seen)]
    for layer in seen.layers:
        lists = layer.connections
        arrays += [layer.weights, layer.biases, lists.row_pointers, lists.columns]
    return [np.ascontiguousarray(array).tobytes() for array in arrays]


def _plain(found: Measurement) -> str:
    """Everything a measurement says, as JSON; an error where it is none."""

    def told(value: Value) -> object:
        return {"undetermined": value.reason} if isinstance(value, Undetermined) else value

    values = [told(found.total), [told(value) for value in found.layers]]
    return json.dumps([*values, dict(found.detail)], allow_nan=False)
