"""Metrics by name: registration, levels, and what a metric may not give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import threadpoolctl
import torch

from structure_net.errors import StructureNetError, UsageError
from structure_net.metrics import (
    METRICS,
    Measurement,
    Probe,
    Undetermined,
    chosen,
    measure,
    metric,
    probe,
)
from structure_net.networks import build_network
from tests.networks.reference import genome


@pytest.fixture(scope="module")
def seen() -> Probe:
    generator = np.random.default_rng(0)
    inputs = torch.from_numpy(generator.standard_normal((100, 6))).float()
    labels = torch.from_numpy(generator.integers(0, 3, 100))
    return probe(build_network(genome(6, [8], 3, 0.5), 1), inputs, labels, 3, path=())


def added(level: Any, function: Callable[[Probe], Any]) -> None:
    function.__doc__ = "What it measures."
    metric("Added-Here", unit="count", low=0, high=None, better=None, level=level)(function)


def test_light_is_a_part_of_full(seen: Probe) -> None:
    light, full = measure(seen, "light"), measure(seen, "full")
    assert list(light) == [one.name for one in chosen("light")]
    assert list(full) == list(METRICS)
    assert light.keys() < full.keys()
    assert {name: full[name] for name in light} == light


def test_one_more_metric_is_found_by_name_and_measured(seen: Probe, registries: None) -> None:
    added("full", lambda probe: Measurement(float(probe.samples)))
    assert METRICS.get("added_here").title == "What it measures."
    assert "Added-Here" not in measure(seen, "light")
    assert measure(seen, "full")["Added-Here"].total == 100.0
    with pytest.raises(UsageError, match="registered twice"):
        added("light", lambda probe: Measurement(0.0))


def test_an_exception_names_the_metric(seen: Probe, registries: None) -> None:
    added("light", lambda probe: Measurement(float(1 // (probe.samples - 100))))
    with pytest.raises(ZeroDivisionError) as told:
        measure(seen, "light")
    assert told.value.__notes__ == ["This was raised by the metric 'Added-Here'."]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Measurement(float("nan")), "gave nan. A number must be finite"),
        (Measurement(0.0, (1.0, float("-inf"))), "gave -inf"),
        (0.5, "gave float, and a Measurement was expected"),
        (Measurement(0.0, detail={"counts": np.zeros(2)}), "no plain JSON"),
        (Measurement(0.0, detail={"error": [float("nan")]}), "no plain JSON"),
    ],
)
def test_what_is_no_number_is_an_error(
    given: Any, words: str, seen: Probe, registries: None
) -> None:
    added("light", lambda probe: given)
    with pytest.raises(StructureNetError, match=words):
        measure(seen, "light")


def test_numbers_that_left_are_undetermined(seen: Probe) -> None:
    network = build_network(genome(6, [8], 3, 0.5), 1)
    with torch.no_grad():
        network.weights(0).fill_(1e38)
        network.weights(1).fill_(1e38)
    lost = probe(network, seen.layers[0].inputs, seen.labels, 3, path=())
    found = measure(lost, "full")
    assert list(found) == list(METRICS)
    assert {one.total for one in found.values()} == {Undetermined("the logits are not finite")}


def blas_threads() -> list[int]:
    pools = threadpoolctl.threadpool_info()
    return [one["num_threads"] for one in pools if one["user_api"] == "blas"]


def test_linear_algebra_has_one_thread_inside_and_its_own_number_after(
    seen: Probe, registries: None
) -> None:
    inside: list[int] = []

    def watched(probe: Probe) -> Measurement:
        inside.extend([*blas_threads(), torch.get_num_threads()])
        return Measurement(0.0)

    added("full", watched)
    own = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpoolctl.threadpool_limits(2, user_api="blas"):
            before = blas_threads()
            measure(seen, "full")
            assert blas_threads()[: len(before)] == before
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(own)
    assert set(inside) == {1}
