"""The table that chooses an engine."""

from __future__ import annotations

import pytest
import torch

from structure_net.engine import ENGINES, choice, choose_engine, make_engine
from structure_net.genome import Genome
from tests.networks.reference import genome

SPARSE = genome(100, [50], 10, 0.12)
MIDDLE = genome(100, [50], 10, 0.2)
FULL = genome(100, [50], 10, 0.4)


@pytest.mark.parametrize(
    ("shape", "device", "native", "mkl", "expected"),
    [
        (SPARSE, "cpu", True, True, "native"),
        (MIDDLE, "cpu", True, True, "native"),
        (FULL, "cpu", True, True, "dense"),
        (SPARSE, "cpu", False, True, "csr"),
        (MIDDLE, "cpu", False, True, "dense"),
        (SPARSE, "cpu", False, False, "dense"),
        (SPARSE, "cuda", True, True, "dense"),
    ],
)
def test_auto_is_a_table_of_density_device_and_what_is_there(
    shape: Genome,
    device: str,
    native: bool,
    mkl: bool,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
    monkeypatch.setattr(choice, "native_is_there", lambda: native)
    assert choose_engine(shape, "auto", device) == expected


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_configured_engine_is_taken(name: str, device: str) -> None:
    assert choose_engine(SPARSE, name, device) == name
    assert make_engine(name).name == name
