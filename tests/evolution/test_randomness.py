"""Evolution draws from derived generators and from nothing else."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from tests.evolution.worlds import config_of, play


class _Raises:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the global generator was asked for {name}")


@pytest.fixture
def no_global_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's, numpy's and torch's global generators raise when they are drawn from."""
    torch = pytest.importorskip("torch")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a global generator was drawn from")

    for name in ("random", "randint", "randrange", "choice", "shuffle", "sample", "uniform"):
        monkeypatch.setattr(random, name, refuse)
    for name in ("rand", "randn", "randint", "random", "choice", "permutation", "shuffle"):
        monkeypatch.setattr(np.random, name, refuse)
    monkeypatch.setattr(np.random, "seed", refuse)
    monkeypatch.setattr(np.random, "default_rng", refuse)
    for name in ("rand", "randn", "randint", "randperm", "manual_seed"):
        monkeypatch.setattr(torch, name, refuse)
    monkeypatch.setattr(torch, "default_generator", _Raises())


@pytest.mark.usefixtures("no_global_generator")
def test_a_search_draws_from_no_global_generator() -> None:
    play(config_of(tournament_size=24, generations=6, mutation_rate=1.0))


def test_a_search_leaves_the_global_generators_as_they_were() -> None:
    torch = pytest.importorskip("torch")
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    play(config_of(tournament_size=24, generations=4, mutation_rate=1.0))
    after = random.getstate(), np.random.get_state(), torch.get_rng_state()
    assert before[0] == after[0]
    assert before[1][0] == after[1][0]
    assert np.array_equal(before[1][1], after[1][1])
    assert before[1][2:] == after[1][2:]
    assert torch.equal(before[2], after[2])
