"""The law: products, means, limits, and the placebo; every strategy computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from structure_net.errors import RunFailedError
from structure_net.learning_rates import (
    HIGHEST_RATE,
    LARGEST_SHARE,
    LOWEST_RATE,
    ROWS,
    SMALLEST_SHARE,
    STRATEGIES,
    Growth,
    LayerShare,
    LayerState,
    Moment,
    Past,
    Schedule,
    multipliers,
    pace,
    shuffled,
)
from tests.learning_rates.moments import layer, moment

FOUR = ("BASIC", "ADVANCED", "COMPREHENSIVE", "ULTIMATE")
UNITS = (6, 5, 4, 3)


def scripted() -> Iterator[Moment]:
    """Twenty epochs of four layers, fan-ins 4 to 1,024; layer 1 grows in epoch 5."""
    ratios = [None, 0.0, 0.05, 0.5]
    for epoch in range(20):
        layers = []
        for index, units in enumerate(UNITS):
            fan_in = [4 ** (1 + (unit + index) % 5) for unit in range(units)]
            count = sum(fan_in)
            born = np.zeros(count)
            if epoch >= 5 and index == 1:
                born[: count // 3] = 5.0
            layers.append(
                layer(
                    fan_in,
                    1024,
                    index,
                    ages=(epoch - born + 3.0 * (born == 0)).tolist(),
                    age_epochs=epoch + 3.0,
                    grown=(born > 0).tolist(),
                    seed=epoch,
                )
            )
        growth = (Growth(5.0, 1),) if epoch >= 5 else ()
        past = Past(extrema_ratio=ratios[epoch % 4], growth=growth)
        yield moment(*layers, epoch=epoch, past=past)


def limited(shares: np.ndarray) -> np.ndarray:
    return np.clip(shares / shares.mean(), 1 / 8, 8)


def by_hand(name: str, now: Moment) -> tuple[float, list[np.ndarray]]:
    """Pace, and layer share x connection share x absolutes of every connection."""
    advanced, whole, ultimate = (FOUR.index(name) >= place for place in (1, 2, 3))
    ratio = now.past.extrema_ratio
    own_pace = max(0.01, 0.95**now.epoch)
    if advanced and ratio is not None:
        own_pace *= 2 if ratio > 0.1 else 1.4 if ratio > 0.01 else 1
    shares = np.array([2.0, 1.0, 1.0, 0.5])
    if advanced:
        shares *= (0.5 + 0.5 * np.arange(4) / 3) * math.exp(-(now.epoch + 3) / 50)
    if ultimate:
        for event in now.past.growth:
            fading = math.exp(-(now.epoch - event.epoch) / 2)
            shares *= 1 - (1 - np.array([0.7, 0.9, 0.7, 0.5])) * fading
    shares = limited(shares)
    factors = []
    for own, share in zip(now.layers, shares, strict=True):
        ages, fan_in = own.age_steps / 40, np.diff(own.row_pointers)
        unit = np.repeat(np.arange(len(fan_in)), fan_in)
        found = np.maximum(0.1, 1 - ages / 100)
        if whole:
            birth = np.maximum(0, now.progress - ages / 20)
            found = found * np.where(birth < 0.2, 0.1, np.where(birth < 0.5, 0.5, 1))
            found = found * np.exp(-0.01 * ages)
        if ultimate:
            learnt = own.learnt()
            w = np.sqrt(np.bincount(unit, learnt.weights**2))
            u = np.sqrt(np.bincount(unit, learnt.directions**2))
            found = found * np.clip(w / u, 0.1, 10)[unit]
        found = limited(found)
        if whole:
            found = found * np.clip(128 / fan_in, 1 / 8, 8)[unit]
        factors.append(share * found)
    return own_pace, factors


@pytest.mark.parametrize("name", FOUR)
def test_every_rate_of_a_scripted_training_is_the_product_by_hand(name: str) -> None:
    for now in scripted():
        schedules = STRATEGIES.get(name)
        expected_pace, expected = by_hand(name, now)
        assert pace(schedules, now) == pytest.approx(expected_pace, rel=1e-12)
        found = multipliers(schedules, now)
        flat = found.flat(UNITS)
        connections = sum(len(own.columns) for own in now.layers)
        assert flat[:connections] == pytest.approx(np.concatenate(expected), rel=1e-6)
        assert flat[connections:] == pytest.approx(np.repeat(found.layers, UNITS), rel=1e-6)
        rates = np.clip(0.003 * expected_pace * flat, LOWEST_RATE, HIGHEST_RATE)
        assert ((rates >= 1e-6) & (rates <= 1e-2)).all()


def rates_of(name: str) -> list[np.ndarray]:
    return [
        pace(STRATEGIES.get(name), now) * multipliers(STRATEGIES.get(name), now).flat(UNITS)
        for now in scripted()
        if not now.past.growth
    ]


def test_the_four_differ_before_anything_grows() -> None:
    """Each pair by more than 1 % somewhere."""
    found = {name: rates_of(name) for name in FOUR}
    for place, one in enumerate(FOUR):
        for other in FOUR[place + 1 :]:
            gaps = [np.abs(a / b - 1).max() for a, b in zip(found[one], found[other], strict=True)]
            assert max(gaps) > 0.01


@pytest.mark.parametrize("name", ROWS)
def test_means_of_shares_are_one_before_the_limits(name: str) -> None:
    """Absolutes left out: they alone may change the overall rate."""
    kept = tuple(one for one in STRATEGIES.get(name) if not hasattr(one, "reference"))
    for now in list(scripted())[::6]:
        found = multipliers(kept, now)
        for factors in (found.layers, *found.connections):
            within = (factors > SMALLEST_SHARE).all() and (factors < LARGEST_SHARE).all()
            assert not within or factors.mean() == pytest.approx(1, abs=1e-6)
            assert (factors >= SMALLEST_SHARE).all()
            assert (factors <= LARGEST_SHARE).all()


def test_layerwise_shares_of_four_layers_after_division() -> None:
    found = multipliers(STRATEGIES.get("BASIC"), next(scripted()))
    assert found.layers == pytest.approx([16 / 9, 8 / 9, 8 / 9, 4 / 9])


def test_a_share_far_from_the_mean_is_limited_to_eight_times() -> None:
    class Steep(LayerShare):
        def __call__(self, now: Moment) -> np.ndarray:
            return 100.0 ** np.arange(len(now.layers))

    found = multipliers((Steep(),), next(scripted())).layers
    assert found == pytest.approx([1 / 8, 1 / 8, 1 / 8, 3.9603960], rel=1e-3)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_schedule_that_gives_no_number_is_told(bad: float) -> None:
    class Broken(LayerShare):
        def __call__(self, now: Moment) -> np.ndarray:
            return np.full(len(now.layers), bad)

    with np.errstate(invalid="ignore"), pytest.raises(RunFailedError, match="Broken"):
        multipliers((Broken(),), next(scripted()))


# The placebo


def late() -> tuple[tuple[Schedule, ...], Moment]:
    """Half-way, where freezing has stopped the first layer."""
    schedules = (*STRATEGIES.get("ULTIMATE"), STRATEGIES.get("BASIC")[1])
    return schedules[:-1], list(scripted())[12]


def test_the_placebo_has_the_same_rates_in_other_places() -> None:
    schedules, now = late()
    given = multipliers(schedules, now)
    given.connections[2][:7] = 0.0
    found = shuffled(given, np.random.default_rng(3))
    again = shuffled(given, np.random.default_rng(3))
    other = shuffled(given, np.random.default_rng(4))
    assert sorted(found.layers) == sorted(given.layers)
    pairs = zip(given.connections, found.connections, again.connections, strict=True)
    for place, (own, moved, repeated) in enumerate(pairs):
        assert sorted(moved) == sorted(own)
        assert (moved == repeated).all()
        assert (moved != own).any()
        assert (moved != other.connections[place]).any()
        assert ((moved == 0) == (own == 0)).all()


def test_layers_of_one_connection_work() -> None:
    now = moment(*(layer([1], 2, index) for index in range(2)))
    for name in ROWS:
        assert multipliers(STRATEGIES.get(name), now).flat([1, 1]).shape == (4,)


def test_one_sign_like_step_moves_every_unit_alike() -> None:
    """|change of u| = rate x reference x E|h|, whatever the fan-in, where no limit binds."""
    fan_in = [16, 64, 128, 400, 1024]
    own: LayerState = layer(fan_in, 2000)
    factors = multipliers(
        STRATEGIES.get("CONSTANT") + STRATEGIES.get("COMPREHENSIVE")[-1:], moment(own)
    )
    draw = np.random.default_rng(0)
    inputs = np.abs(draw.normal(size=2000))
    signs = draw.choice([-1.0, 1.0], size=5)  # of the unit's derivative: the same for its row
    steps = 1e-3 * factors.connections[0] * own.of_units(signs)
    unit = np.repeat(np.arange(5), fan_in)
    moved = np.abs(np.bincount(unit, steps * inputs[own.columns]))
    means = np.bincount(unit, inputs[own.columns]) / fan_in
    assert moved == pytest.approx(1e-3 * 128 * means, rel=1e-2)
