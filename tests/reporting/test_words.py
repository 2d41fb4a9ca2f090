"""Words: short, and inert whatever they are made of."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structure_net.reporting import words


@given(st.text(st.characters()))
def test_clean_text_is_one_printable_line(text: str) -> None:
    line = words.clean(text)
    assert line.isprintable()
    assert line.encode("utf-8").decode("utf-8") == line  # no lone surrogate is left
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2028\u2029]", line)


def test_clean_keeps_words_apart() -> None:
    assert words.clean("one\ntwo\t three\x1b[31m") == "one two three[31m"


@given(st.text(), st.integers(2, 50))
def test_brief_text_fits(text: str, room: int) -> None:
    assert len(words.brief(text, room)) <= room


@given(st.lists(st.integers(1, 65_536), min_size=2, max_size=40), st.integers(20, 80))
def test_architecture_fits_and_keeps_both_ends(widths: list[int], room: int) -> None:
    text = words.architecture(widths, room)
    assert len(text) <= room
    assert text.startswith(f"[{widths[0]}, ")
    assert text.endswith(f", {widths[-1]}]")
    if len(words.architecture(widths)) <= room:
        assert ".." not in text


def test_architecture_gives_way_in_the_middle() -> None:
    widths = (3072, 512, 256, 128, 64, 10)
    assert words.architecture(widths) == "[3072, 512, 256, 128, 64, 10]"
    assert words.architecture(widths, 28) == "[3072, 512, 256, .., 64, 10]"
    assert words.architecture(widths, 27) == "[3072, 512, .., 64, 10]"
    assert words.architecture(widths, 1) == "[3072, .., 10]"


@pytest.mark.parametrize(
    ("seconds", "measured", "estimated"),
    [
        (0.04, "0.0 s", "1 s"),
        (12.34, "12.3 s", "12 s"),
        (99.96, "1 min 40 s", "2 min"),
        (125, "2 min 05 s", "2 min"),
        (5400, "90 min 00 s", "1.5 h"),
        (7625, "2 h 07 min", "2.1 h"),
        (260_000, "72 h 13 min", "3 days"),
    ],
)
def test_times(seconds: float, measured: str, estimated: str) -> None:
    assert words.duration(seconds) == measured
    assert words.rough(seconds) == estimated
