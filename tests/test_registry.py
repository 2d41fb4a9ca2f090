"""Members found by name, however it is spelled, and a miss that helps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structure_net.errors import UsageError
from structure_net.registry import Registry, nearest, normal


def shapes() -> Registry[int]:
    registry: Registry[int] = Registry("shape")
    for number, name in enumerate(("best-of-k", "Truncation", "pareto")):
        registry.register(name)(number)
    return registry


@pytest.mark.parametrize("name", ["best-of-k", "BEST_OF_K", "Best-Of_k", " best-of-k "])
def test_spellings_of_one_name_are_one_name(name: str) -> None:
    assert shapes().get(name) == 0
    assert name in shapes()


def test_names_keep_their_spelling_and_order() -> None:
    assert list(shapes()) == ["best-of-k", "Truncation", "pareto"]


def test_the_decorator_gives_back_what_it_was_given() -> None:
    registry: Registry[object] = Registry("thing")

    @registry.register("one")
    def one() -> int:
        return 1

    assert registry.get("one") is one
    assert one() == 1


def test_a_second_member_of_a_name_is_refused_and_the_first_stays() -> None:
    registry = shapes()
    with pytest.raises(UsageError, match="A shape named 'BEST-OF-K' is registered twice"):
        registry.register("BEST-OF-K")(9)
    assert registry.get("best-of-k") == 0


def test_a_miss_names_the_nearest_or_all() -> None:
    with pytest.raises(UsageError, match=r"No shape is named 'truncate': did you mean 'Trunc"):
        shapes().get("truncate")
    with pytest.raises(UsageError, match=r"known are Truncation, best-of-k, pareto\.$"):
        shapes().get("zzz")
    assert "zzz" not in shapes()
    assert 3 not in shapes()


@given(st.text(max_size=20))
def test_any_other_name_is_a_usage_error(name: str) -> None:
    known = {normal(one) for one in shapes()}
    if normal(name) in known:
        return
    with pytest.raises(UsageError):
        shapes().get(name)
    assert nearest(name, list(shapes())).startswith(("did you mean", "known are"))
