"""Each pace against its formula, written out again."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from structure_net.learning_rates import (
    SCHEDULES,
    AdaptivePhase,
    Constant,
    Cosine,
    ExponentialBackoff,
    ExtremaPhase,
    Moment,
    Past,
    Phase,
    Plateau,
    WarmUp,
)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 1.0), (0.5, 0.505), (1.0, 0.01)])
def test_cosine_at_its_ends_and_middle(progress: float, expected: float) -> None:
    assert Cosine()(Moment(progress)) == pytest.approx(expected, abs=1e-15)


def test_cosine_never_rises_after_the_end() -> None:
    assert [Cosine()(Moment(progress)) for progress in (1.0, 1.3, 2.0)] == [0.01] * 3


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.01), (0.025, 0.505), (0.05, 1.0), (0.3, 1.0), (1.0, 1.0)]
)
def test_warm_up_is_a_line_and_then_one(progress: float, expected: float) -> None:
    assert WarmUp()(Moment(progress)) == pytest.approx(expected, abs=1e-15)


def test_paces_take_numbers_of_their_own() -> None:
    assert Cosine(end=0.2)(Moment(1.0)) == pytest.approx(0.2)
    assert WarmUp(share=0.5, start=0.0)(Moment(0.25)) == pytest.approx(0.5)
    assert WarmUp(share=0.0)(Moment(0.0)) == 1.0
    assert {Constant(2.0)(Moment(progress / 10)) for progress in range(11)} == {2.0}


def test_backoff_falls_by_a_twentieth_an_epoch_to_a_hundredth() -> None:
    found = [
        ExponentialBackoff()(Moment(0.1, epoch)) for epoch in (0.0, 1.0, 2.5, 20.0, 89.0, 200.0)
    ]
    expected = [1, 0.95, 0.95**2.5, 0.3584859, 0.95**89, 0.01]
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0.0, 1), (0.499, 1), (0.5, 0.1), (0.749, 0.1), (0.75, 0.01), (1.0, 0.01)],
)
def test_phases_change_at_a_half_and_three_quarters(progress: float, expected: float) -> None:
    assert Phase()(Moment(progress)) == expected


@pytest.mark.parametrize(
    ("ratio", "expected", "legacy"),
    [
        (None, 1, 1),
        (0.0, 1, 0.01),
        (0.01, 1, 0.01),
        (0.05, 1.4, 0.1),
        (0.1, 1.4, 0.1),
        (0.5, 2, 1),
    ],
)
def test_extrema_phases_follow_the_ratio(
    ratio: float | None, expected: float, legacy: float
) -> None:
    moment = Moment(0.3, past=Past(extrema_ratio=ratio))
    assert ExtremaPhase()(moment) == expected
    assert SCHEDULES.get("seed_legacy_extrema_phase")(moment) == legacy


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0, 1.0, 0.5, 0.2], 1),
        ([9.0, 1.0, 1.0, 1.0, 0.99, 0.98], 1),  # (2 - 1.97) / 2 = 0.015, of the last five alone
        ([1.0, 1.0, 1.0, 0.994, 0.993], 0.5),  # 0.0065
        ([1.0, 1.0, 1.0, 0.999, 0.998], 0.1),  # 0.0015
        ([1.0, 1.0, 1.0, 1.001, 1.002], 0.1),  # -0.0015
        ([1.0, 1.0, 1.0, 1.01, 1.0], 0.25),  # -0.005
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0.1),
    ],
)
def test_adaptive_phases_follow_the_fall_of_the_loss(losses: list[float], expected: float) -> None:
    assert AdaptivePhase()(Moment(0.3, past=Past(train_losses=tuple(losses)))) == expected


def test_plateau_is_torchs_reduction_on_a_plateau() -> None:
    losses = [
        2.0,
        1.5,
        1.5,
        1.4999,
        1.2,
        1.3,
        1.25,
        1.21,
        1.2,
        1.0,
        0.9999,
        0.9998,
        0.5,
        *[0.6] * 20,
    ]
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    witness = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=1, threshold=1e-3, min_lr=0.01
    )
    for count in range(len(losses) + 1):
        past = Past(validation_losses=tuple(losses[:count]))
        assert Plateau()(Moment(0.3, past=past)) == optimizer.param_groups[0]["lr"]
        if count < len(losses):
            witness.step(losses[count])
    assert optimizer.param_groups[0]["lr"] == 0.01


def test_cosine_falls_once_it_is_warm() -> None:
    paces = [
        WarmUp()(one) * Cosine()(one) for one in map(Moment, torch.linspace(0.05, 1, 500).tolist())
    ]
    assert all(later < earlier for earlier, later in itertools.pairwise(paces))
    assert math.isclose(paces[-1], 0.01)
