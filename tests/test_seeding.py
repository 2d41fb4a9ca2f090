"""Streams by path: the same everywhere, never shared, and as random as they should be."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from structure_net.seeding import derive, derive_seed

PARTS = st.lists(st.text(max_size=4) | st.integers(-5, 500), max_size=4)


def spelled(seed: int, path: tuple[str | int, ...]) -> bytes:
    """The key by its definition: each part with its type's letter, its length before it."""
    text = ""
    for kind, part in [("i", seed), *(("s" if isinstance(one, str) else "i", one) for one in path)]:
        text += f"{len(str(part)) + 1}:{kind}{part}"
    return hashlib.sha256(text.encode()).digest()


@given(st.integers(0, 2**63 - 1), PARTS)
def test_streams_are_what_their_definition_says(seed: int, parts: list[str | int]) -> None:
    digest = spelled(seed, tuple(parts))
    assert derive_seed(seed, *parts) == int.from_bytes(digest[16:24], "big") // 2
    key = [int.from_bytes(digest[place : place + 8], "little") for place in (0, 8)]
    wanted = np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))
    assert np.array_equal(derive(seed, *parts).random(4), wanted.random(4))


def test_a_known_stream_stays_what_it_is() -> None:
    """A new purpose, or a new version of this file, changes no old stream."""
    assert derive_seed(0) == 1336624406177319881
    assert derive_seed(7, "batches", 2, 5) == 885112992757757627


@given(st.integers(0, 99), PARTS, st.integers(0, 99), PARTS)
def test_two_paths_share_a_stream_only_if_they_are_equal(
    seed: int, left: list[str | int], other: int, right: list[str | int]
) -> None:
    same = (seed, left) == (other, right)
    assert (derive_seed(seed, *left) == derive_seed(other, *right)) == same
    assert np.array_equal(derive(seed, *left).random(2), derive(other, *right).random(2)) == same


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("a", "b"), ("ab",)),
        (("a", ""), ("a",)),
        (("1",), (1,)),
        ((12, 3), (1, 23)),
        (("2:s1",), ("1",)),
        (("s",), ("i",)),
        ((-1,), ("-1",)),
    ],
)
def test_paths_that_read_alike_are_different(
    left: tuple[str | int, ...], right: tuple[str | int, ...]
) -> None:
    assert derive_seed(1, *left) != derive_seed(1, *right)
    assert derive_seed(1, *left) != derive_seed(11, *left)


def test_200000_paths_have_as_many_seeds_in_range() -> None:
    paths = product(range(10), ("batches", "child"), range(100), range(100))
    seeds = {derive_seed(seed, purpose, *place) for seed, purpose, *place in paths}
    assert len(seeds) == 200_000
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert max(seeds).bit_length() == 63


def test_first_draws_of_neighbouring_paths_are_uniform_and_independent() -> None:
    draws = np.array([derive(3, "child", 0, place).random(2) for place in range(4000)])
    assert stats.kstest(draws[:, 0], "uniform").pvalue > 0.001
    assert stats.kstest(np.diff(draws[:, 0]) % 1.0, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(draws.T)[0, 1]) < 4 / np.sqrt(4000)


def test_other_processes_have_the_same_streams() -> None:
    code = "from structure_net.seeding import derive; print(derive(5, 'x', 1).integers(2**60))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {f"{derive(5, 'x', 1).integers(2**60)}\n"}


def test_a_stream_is_fresh_each_time() -> None:
    first = derive(1, "a")
    first.random(1000)
    assert derive(1, "a").random() == derive(1, "a").random() != first.random()
