"""Connections, parameters and cost of a genome, without building the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from structure_net.genome.genome import Genome, floors_of

Allocation = Literal["erdos_renyi", "uniform", "equal_fan_in"]
# Below so many sparse layers a residual block adds more depth than there was.
SHALLOWEST_WITH_BLOCKS = 4


def connection_count(genome: Genome) -> int:
    """Live connections of all sparse layers."""
    return sum(genome.counts)


def bias_count(genome: Genome) -> int:
    """One bias per hidden unit, inside blocks too, and logit."""
    return sum(genome.bias_counts)


def active_parameters(genome: Genome) -> int:
    """Connections plus biases: what fitness counts."""
    return connection_count(genome) + bias_count(genome)


def junctions_of(genome: Genome, narrowest: int) -> tuple[int, ...]:
    """Hidden layers that may have another residual block behind them: those of `narrowest` units or
    more, in networks of four sparse layers or more."""
    if len(genome.plans) < SHALLOWEST_WITH_BLOCKS:
        return ()
    return tuple(at for at, gene in enumerate(genome.hidden) if gene.width >= narrowest)


def possible_connections(genome: Genome) -> int:
    """Places for a connection in all sparse layers."""
    return sum(plan.possible for plan in genome.plans)


def dense_parameters(genome: Genome) -> int:
    """What the same architecture would hold at density 1."""
    return possible_connections(genome) + bias_count(genome)


def overall_density(genome: Genome) -> float:
    """Live connections over possible ones, all sparse layers together."""
    return connection_count(genome) / possible_connections(genome)


def forward_flop(genome: Genome) -> int:
    """Floating-point operations of one forward pass of one sample: a multiply and an add each."""
    return 2 * connection_count(genome)


def allocation_weights(shapes: Sequence[tuple[int, int]], rule: Allocation) -> list[float]:
    """Relative connection counts: Erdos-Renyi gives n_src + n_dst (Mocanu et al. 2018)."""
    if rule == "erdos_renyi":
        return [float(source + unit) for source, unit in shapes]
    if rule == "uniform":
        return [float(source * unit) for source, unit in shapes]
    return [float(unit) for _, unit in shapes]


def allocate(
    shapes: Sequence[tuple[int, int]],
    density: float,
    rule: Allocation = "erdos_renyi",
    weights: Sequence[float] | None = None,
    floors: Sequence[int] | None = None,
) -> list[int]:
    """Connection counts per sparse layer for an overall density in (0, 1].

    N_l = clamp(s * w_l, floor_l, possible_l) with the one scale s that gives the total: a layer
    that reaches density 1 stays there and its excess goes to the others, a layer below its floor is
    lifted to it. A density below the sum of floors gives the floors. `weights` replaces the rule's,
    `floors` those of a network without blocks.
    """
    caps = [source * unit for source, unit in shapes]
    lows = floors_of(shapes) if floors is None else list(floors)
    shares = list(weights) if weights is not None else allocation_weights(shapes, rule)
    total = min(max(math.floor(density * sum(caps) + 0.5), sum(lows)), sum(caps))
    exact = _clamped(shares, lows, caps, _scale(shares, lows, caps, total))
    return _rounded(exact, lows, caps, total)


def _clamped(
    shares: Sequence[float], lows: Sequence[int], caps: Sequence[int], scale: float
) -> list[float]:
    return [
        min(max(scale * share, low), cap)
        for share, low, cap in zip(shares, lows, caps, strict=True)
    ]


def _scale(shares: Sequence[float], lows: Sequence[int], caps: Sequence[int], total: int) -> float:
    """Bisection on the monotone sum, until no double lies between the ends."""
    low = min(floor / share for floor, share in zip(lows, shares, strict=True))
    high = max(cap / share for cap, share in zip(caps, shares, strict=True))
    while low < (middle := 0.5 * (low + high)) < high:
        if sum(_clamped(shares, lows, caps, middle)) < total:
            low = middle
        else:
            high = middle
    return high


def _rounded(
    exact: Sequence[float], lows: Sequence[int], caps: Sequence[int], total: int
) -> list[int]:
    """Largest-remainder rounding that keeps the total and passes no bound; ties by lower index."""
    counts = [max(math.floor(value), low) for value, low in zip(exact, lows, strict=True)]
    order = sorted(range(len(exact)), key=lambda layer: (-(exact[layer] % 1.0), layer))
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        for layer in order if step > 0 else reversed(order):
            if sum(counts) != total and lows[layer] <= counts[layer] + step <= caps[layer]:
                counts[layer] += step
    return counts
