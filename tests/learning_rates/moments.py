"""Moments planted for tests: layers of drawn connections with ages, origins and moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from structure_net.learning_rates import LayerState, Learnt, Moment, Past

EPOCH_STEPS = 40


def layer(
    fan_in: Sequence[int],
    sources: int,
    index: int = 0,
    *,
    ages: float | Sequence[float] = 0.0,
    age_epochs: float = 0.0,
    grown: bool | Sequence[bool] = False,
    seed: int = 0,
    weights: Sequence[float] | None = None,
    directions: Sequence[float] | None = None,
    roots: Sequence[float] | None = None,
) -> LayerState:
    """A layer with so many connections into each unit; `ages` in epochs."""
    draw = np.random.default_rng(seed + index)
    count = sum(fan_in)
    drawn = [np.sort(draw.choice(sources, size, replace=False)) for size in fan_in]
    numbers = [
        draw.normal(size=count) if given is None else np.array(given, dtype=float)
        for given in (weights, directions, roots)
    ]
    learnt = Learnt(numbers[0], numbers[1], np.abs(numbers[2]))
    return LayerState(
        index=index,
        sources=sources,
        row_pointers=np.concatenate([[0], np.cumsum(fan_in)]).astype(np.int32),
        columns=np.concatenate(drawn).astype(np.int32),
        age_epochs=age_epochs,
        age_steps=np.broadcast_to(np.array(ages, dtype=float), count) * EPOCH_STEPS,
        grown=np.broadcast_to(np.array(grown), count).copy(),
        learnt=lambda: learnt,
    )


def moment(
    *layers: LayerState, epoch: float = 0.0, epochs: int = 20, past: Past | None = None
) -> Moment:
    """A moment `epoch` epochs into a training of `epochs`."""
    return Moment(epoch / epochs, float(epoch), epochs, EPOCH_STEPS, past or Past(), layers)


def alike(count: int, ages: Sequence[float] | None = None) -> tuple[LayerState, ...]:
    """Layers of three units with two connections each, as old as given."""
    return tuple(
        layer([2, 2, 2], 4, index, age_epochs=ages[index] if ages else 0.0)
        for index in range(count)
    )
