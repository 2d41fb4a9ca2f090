"""Exponents are those of the curve, and every axis is measured."""

from __future__ import annotations

import pytest

from structure_net.bench import Curve, Sweep, scaling


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0])
def test_the_exponent_of_a_power_is_its_own(exponent: float) -> None:
    values = (1.0, 2.0, 5.0, 10.0)
    curve = Curve("density", values, tuple(3 * value**exponent for value in values))
    assert curve.exponent == pytest.approx(exponent)
    assert curve.as_json()["exponent"] == curve.exponent


def test_one_value_has_no_exponent() -> None:
    assert Curve("devices", (1.0,), (2.0,)).exponent is None


def test_every_axis_is_measured() -> None:
    sweep = Sweep(populations=(1, 2), densities=(0.01, 0.02), steps=1, rounds=1)
    curves = [
        one for one in scaling(sweep, 1, ["native", "csr", "dense"], 0) if not isinstance(one, str)
    ]
    assert [(curve.axis, curve.values) for curve in curves] == [
        ("population", (1.0, 2.0)),
        ("density", (0.01, 0.02)),
        ("workers", (1.0,)),
    ]
    assert all(min(curve.seconds) > 0 for curve in curves)
