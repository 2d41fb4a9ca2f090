"""Drawings: points where a hand puts them, round ticks, few enough dots."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from structure_net.reporting.plots import MOST_DOTS, MOST_TICKS, Axis, Chart, axis_of, drawing
from tests.reporting.pages import read

TEN, ONE = Axis(0, 10, "across"), Axis(0, 1, "up")
# The drawing is 480 by 320 units; 62 are left free at the left, 22 right, 12 above, 48 below.
CORNERS = {(0, 0): (62, 272), (10, 0): (458, 272), (0, 1): (62, 12), (5, 0.5): (260, 142)}


@pytest.mark.parametrize("point", CORNERS)
def test_points_lie_where_a_hand_puts_them(point: tuple[float, float]) -> None:
    assert Chart(TEN, ONE).place(point) == pytest.approx(CORNERS[point])


def test_what_is_drawn_lies_there_too() -> None:
    chart = Chart(TEN, ONE)
    points = list(CORNERS)
    line = "62.0,272.0 458.0,272.0 62.0,12.0 260.0,142.0"
    assert f'points="{line}"' in chart.line(points, 0)
    assert 'd="M260.0 142.0h0"' in chart.dots([(5, 0.5)], 0)
    assert 'cx="260.0" cy="142.0"' in chart.marks([(5, 0.5)], ["here"], 0)
    band = chart.band([(0, 0), (10, 0)], [(0, 1), (10, 1)], 0)
    assert 'points="62.0,272.0 458.0,272.0 458.0,12.0 62.0,12.0"' in band


def test_a_logarithmic_axis_counts_factors() -> None:
    axis = Axis(1, 10_000, "size", logarithmic=True)
    assert axis.share(100) == pytest.approx(0.5)
    assert axis.ticks() == [
        (1, "1"), (10, "10"), (100, "100"), (1000, "1,000"), (10_000, "10 k"),
    ]  # fmt: skip


def test_ticks_of_a_plain_axis() -> None:
    assert [shown for _, shown in Axis(0.1, 0.95, "share").ticks()] == ["0.2", "0.4", "0.6", "0.8"]
    assert Axis(0, 1, "s", form=lambda x: f"{x:.0%}").ticks()[1] == (0.2, "20%")
    million = [shown for _, shown in Axis(0, 4e6, "size").ticks()]
    assert million == ["0", "1 M", "2 M", "3 M", "4 M"]


sizes = st.floats(1, 1e9)


@given(low=sizes, factor=st.floats(1, 1e6), logarithmic=st.booleans())
def test_ticks_are_few_ordered_inside_and_told_apart(
    low: float, factor: float, logarithmic: bool
) -> None:
    axis = axis_of([low, low * factor], "size", logarithmic=logarithmic)
    values = [value for value, _ in axis.ticks()]
    assert 1 <= len(values) <= MOST_TICKS
    assert values == sorted(set(values))
    slack = 1e-9 * (axis.high - axis.low)
    assert axis.low - slack <= values[0] <= values[-1] <= axis.high + slack
    if factor > 1.01:
        assert len({shown for _, shown in axis.ticks()}) == len(values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_an_axis_holds_its_values_between_its_ends(values: list[float]) -> None:
    axis = axis_of(values, "value")
    assert all(-1e-9 <= axis.share(value) <= 1 + 1e-9 for value in values)


def test_thinning_leaves_out_only_dots_beside_others() -> None:
    draw = np.random.default_rng(0)
    chart = Chart(TEN, ONE)
    many = [(float(x), float(y)) for x, y in draw.uniform((0, 0), (10, 1), (20_000, 2))]
    kept = chart.thinned(many)
    assert 1000 < len(kept) <= MOST_DOTS
    assert set(kept) <= set(many)
    drawn = np.array([chart.place(point) for point in kept])
    for point in many[:200]:
        nearest = np.abs(drawn - np.array(chart.place(point))).max(axis=1).min()
        assert nearest <= 4  # units: no side of a square it came to is larger
    assert chart.thinned(many[:MOST_DOTS]) == many[:MOST_DOTS]


def test_a_drawing_is_sound_and_its_texts_are_inert() -> None:
    chart = Chart(Axis(0, 1, "<b>&\"'"), Axis(1, 9, "</svg>", logarithmic=True))
    marks = chart.marks([(0.5, 3)], ["</title><script>"], 7)
    text = drawing('"><script>', chart.frame(), marks, chart.crosses([(0, 1)], 1))
    reader = read(text)
    assert reader.tags == {"svg", "path", "text", "circle", "title"}
    assert reader.page.all("title")[0].text == "</title><script>"
    assert "<b>&\"'" in {one.text for one in reader.page.all("text")}
    assert re.findall(r"--series-(\d)", text) == ["1", "1"]  # the seventh colour is the first's
