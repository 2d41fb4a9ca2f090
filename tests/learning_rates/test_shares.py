"""Each share and absolute against its formula, on planted layers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from structure_net.learning_rates import (
    AgeDecay,
    CascadingDecay,
    ExtremaProximity,
    GradientBased,
    Growth,
    GrowthDecay,
    LayerAge,
    Layerwise,
    MultiScale,
    NewbornWarmUp,
    Origin,
    Past,
    ProgressiveFreezing,
    ScaleDependent,
    Sedimentary,
    SoftClamping,
    SparsityAwareness,
    TrustRatio,
)
from tests.learning_rates.moments import EPOCH_STEPS, alike, layer, moment

AGES = [0.0, 5.0, 20.0, 50.0, 60.0, 95.0, 101.0, 300.0]
OLD = layer([3, 5], 9, ages=AGES)


# Layers


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [1]), (2, [2, 0.5]), (3, [2, 1, 0.5]), (4, [2, 1, 1, 0.5]), (6, [2, 2, 1, 1, 0.5, 0.5])],
)
def test_layerwise_goes_by_thirds_of_the_depth(count: int, expected: list[float]) -> None:
    assert Layerwise()(moment(*alike(count))).tolist() == expected


def test_layer_age_slows_early_and_old_layers() -> None:
    ages = [0.0, 10.0, 50.0, 2.0]
    found = LayerAge()(moment(*alike(4, ages)))
    expected = [(0.5 + 0.5 * place / 3) * math.exp(-age / 50) for place, age in enumerate(ages)]
    assert found == pytest.approx(expected)
    assert LayerAge()(moment(*alike(1))) == pytest.approx([0.5])


def test_cascading_decay_protects_early_features() -> None:
    found = CascadingDecay()(moment(*alike(3)))
    assert found == pytest.approx([0.1, 10**-0.5, 1])


def test_growth_slows_by_distance_and_fades() -> None:
    past = Past(growth=(Growth(3.0, 1), Growth(5.0, 3)))
    at_once = GrowthDecay()(moment(*alike(4), epoch=5, past=Past(growth=(Growth(5.0, 1),))))
    assert at_once == pytest.approx([0.7, 0.9, 0.7, 0.5])
    found = GrowthDecay()(moment(*alike(4), epoch=6, past=past))
    earlier, later = math.exp(-3 / 2), math.exp(-1 / 2)
    expected = [
        (1 - 0.3 * earlier) * (1 - 0.5 * later),
        (1 - 0.1 * earlier) * (1 - 0.5 * later),
        (1 - 0.3 * earlier) * (1 - 0.3 * later),
        (1 - 0.5 * earlier) * (1 - 0.1 * later),
    ]
    assert found == pytest.approx(expected)
    assert GrowthDecay()(moment(*alike(4))).tolist() == [1] * 4


# Connections


def test_soft_clamping_is_a_line_down_to_a_tenth() -> None:
    expected = [1, 0.95, 0.8, 0.5, 0.4, 0.1, 0.1, 0.1]
    assert SoftClamping()(moment(OLD), OLD) == pytest.approx(expected)


def test_age_decay_is_a_tenth_in_fifty_epochs() -> None:
    expected = [1, 10**-0.1, 10**-0.4, *[0.1] * 5]
    assert AgeDecay()(moment(OLD), OLD) == pytest.approx(expected)


def test_sediments_lie_by_age() -> None:
    assert Sedimentary()(moment(OLD), OLD).tolist() == [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]


def test_multi_scale_goes_by_progress_at_birth() -> None:
    """At epoch 16 of 20: born at 0.8 - age / 20; who is older than the trial was born at 0."""
    ages = [0.0, 5.0, 6.5, 11.0, 12.5, 16.0, 40.0]
    own = layer([3, 4], 9, ages=ages)
    scales = [1, 1, 0.5, 0.5, 0.1, 0.1, 0.1]
    expected = [scale * math.exp(-0.01 * age) for scale, age in zip(scales, ages, strict=True)]
    assert MultiScale()(moment(own, epoch=16), own) == pytest.approx(expected)


def test_scale_dependent_goes_by_the_root_mean_square() -> None:
    own = layer([2, 2], 4, weights=[0.0, 1.0, -1.0, 7.0])  # rms 3.57
    assert ScaleDependent()(moment(own), own).tolist() == [2, 2, 2, 1]
    own = layer([3, 3], 4, weights=[0.1, 1.0, -1.0, 1.0, 1.0, -4.0])  # rms 1.83
    assert ScaleDependent()(moment(own), own).tolist() == [2, 1, 1, 1, 1, 0.5]
    own = layer([2, 2], 4, weights=[0.0] * 4)
    assert ScaleDependent()(moment(own), own).tolist() == [1] * 4


def test_gradient_based_goes_by_the_median() -> None:
    own = layer([2, 3], 4, roots=[1.0, 0.2, 1.0, 5.0, 1.5])
    assert GradientBased()(moment(own), own).tolist() == [1, 2, 1, 0.5, 1]


def test_origin_tells_what_was_born_here() -> None:
    own = layer([1, 3], 4, grown=[True, False, False, True])
    assert Origin()(moment(own), own).tolist() == [1, 0.1, 0.1, 1]


def test_extrema_proximity_doubles_what_touches_an_extreme_unit() -> None:
    layers = (layer([2, 1, 3], 5, 0), layer([3, 2], 3, 1))
    extrema = (np.array([False, True, False]),)
    now = moment(*layers, past=Past(extrema=extrema))
    assert ExtremaProximity()(now, layers[0]).tolist() == [1, 1, 2, 1, 1, 1]
    sources = layers[1].columns.tolist()
    expected = [2 if source == 1 else 1 for source in sources]
    assert ExtremaProximity()(now, layers[1]).tolist() == expected
    assert ExtremaProximity()(moment(*layers), layers[1]).tolist() == [1] * 5


def test_trust_ratio_is_lamb_by_rows() -> None:
    own = layer(
        [2, 1, 2, 1],
        4,
        weights=[3.0, 4.0, 0.0, 0.01, 0.0, 50.0],
        directions=[0.6, 0.8, 1.0, 1.0, 0.0, 1.0],
    )
    # 5 / 1; weights of 0; 0.01, limited; 50, limited.
    assert TrustRatio()(moment(own), own) == pytest.approx([5, 5, 1, 0.1, 0.1, 10])
    own = layer([1, 1], 4, weights=[3.0, 4.0], directions=[0.0, 0.0])
    assert TrustRatio()(moment(own), own).tolist() == [1, 1]


# Absolutes


@pytest.mark.parametrize(
    ("fan_in", "expected"), [(4, 8), (16, 8), (64, 2), (128, 1), (512, 0.25), (3000, 1 / 8)]
)
def test_sparsity_awareness_is_inverse_to_fan_in(fan_in: int, expected: float) -> None:
    own = layer([fan_in, 1], 4000)
    assert SparsityAwareness()(moment(own), own).tolist() == [expected] * fan_in + [8]


def test_freezing_runs_from_the_input_side() -> None:
    layers = alike(3)
    for epoch, expected in (
        (0, [1, 1, 1]),
        (5, [0.5, 0.75, 0.8535534]),
        (10, [0, 0.25, 0.5]),
        (15, [0, 0, 0.1464466]),
        (20, [0, 0, 0]),
    ):
        now = moment(*layers, epoch=epoch)
        found = [ProgressiveFreezing()(now, own) for own in layers]
        assert [one[0] for one in found] == pytest.approx(expected, abs=1e-7)
        assert all((one == one[0]).all() for one in found)
    assert ProgressiveFreezing()(moment(*layers, epoch=10), layers[0])[0] == 0.0


def test_the_newborn_warm_up_over_a_hundred_steps_and_others_do_not() -> None:
    ages = np.array([0, 1, 50, 99, 100, 500]) / EPOCH_STEPS
    own = layer([6], 9, ages=ages.tolist(), grown=True)
    assert NewbornWarmUp()(moment(own), own) == pytest.approx([0, 0.01, 0.5, 0.99, 1, 1])
    assert NewbornWarmUp(steps=0.0)(moment(own), own).tolist() == [1] * 6
    own = layer([6], 9, ages=ages.tolist())
    assert NewbornWarmUp()(moment(own), own).tolist() == [1] * 6
