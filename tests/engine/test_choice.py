"""The table that chooses an engine."""

from __future__ import annotations

import pytest
import torch

from structure_net.engine import ENGINES, choose_engine, make_engine
from structure_net.genome import overall_density
from tests.networks.reference import genome

AT_CROSSOVER = genome(100, [50], 10, 0.12)
ABOVE = genome(100, [50], 10, 0.121)


@pytest.mark.parametrize(
    ("density", "device", "mkl", "expected"),
    [
        ("at", "cpu", True, "csr"),
        ("above", "cpu", True, "dense"),
        ("at", "cpu", False, "dense"),
        ("at", "cuda", True, "dense"),
        ("above", "cuda", True, "dense"),
    ],
)
def test_auto_is_a_table_of_density_and_device(
    density: str, device: str, mkl: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
    shape = AT_CROSSOVER if density == "at" else ABOVE
    assert choose_engine(shape, "auto", device) == expected


def test_the_examples_stand_where_they_say() -> None:
    assert overall_density(AT_CROSSOVER) == 0.12 < overall_density(ABOVE)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_configured_engine_is_taken(name: str, device: str) -> None:
    assert choose_engine(AT_CROSSOVER, name, device) == name
    assert make_engine(name).name == name
