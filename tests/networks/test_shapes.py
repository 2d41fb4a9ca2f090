"""Annotations are checked while tests run, and cover every file that shows a shape."""

from __future__ import annotations

from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from structure_net.networks import build_network, constant_fan_in
from tests.networks.reference import genome

PACKAGE = Path(__file__).resolve().parents[2] / "structure_net"


def test_every_file_with_shapes_is_checked(pytestconfig: pytest.Config) -> None:
    *checked, _ = pytestconfig.getoption("--jaxtyping-packages").split(",")
    with_shapes = {
        ".".join(["structure_net", *path.relative_to(PACKAGE).parts[:-1]])
        for path in PACKAGE.rglob("*.py")
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    }
    assert with_shapes <= set(checked)


def test_a_wrong_number_of_axes_is_an_error() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        constant_fan_in(
            4,
            3,
            6,
            np.random.default_rng(0),
            feed_every_source=False,
            usable=np.ones((4, 1), dtype=bool),
        )


def test_a_wrong_kind_of_number_is_an_error() -> None:
    network = build_network(genome(6, [4], 2, 0.5), 0)
    with pytest.raises(jaxtyping.TypeCheckError):
        network(torch.zeros(2, 6, dtype=torch.int64))
