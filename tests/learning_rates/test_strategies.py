"""Strategies and schedules by name, with numbers of their own, from configuration and genome."""

from __future__ import annotations

import dataclasses

import pytest

from structure_net.errors import UsageError
from structure_net.learning_rates import (
    HIGHEST_RATE,
    LOWEST_RATE,
    ROWS,
    SCHEDULES,
    STRATEGIES,
    Cosine,
    Moment,
    WarmUp,
    pace,
    schedule,
    strategy_of,
)
from structure_net.schema import STRATEGIES as CONFIGURED
from structure_net.schema import Config, resolve

INGREDIENTS = {
    "BASIC": {"exponential_backoff", "layerwise", "soft_clamping"},
    "ADVANCED": {"extrema_phase", "layer_age"},
    "COMPREHENSIVE": {"multi_scale", "sparsity_awareness"},
    "ULTIMATE": {"growth_decay", "trust_ratio"},
}


def test_each_of_the_four_has_its_ingredients_and_those_before() -> None:
    so_far: set[str] = set()
    for name, own in INGREDIENTS.items():
        so_far |= own
        assert set(STRATEGIES.get(name)) == {SCHEDULES.get(one) for one in so_far}


def test_the_configuration_knows_the_registered_names() -> None:
    assert tuple(ROWS) == CONFIGURED
    assert set(STRATEGIES) >= set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_every_pace_is_above_zero_and_at_most_four(name: str) -> None:
    paces = [pace(STRATEGIES.get(name), Moment(step / 100, step / 5)) for step in range(101)]
    assert all(0 < one <= 4 for one in paces)


@pytest.mark.parametrize("spelling", ["ULTIMATE", "ultimate", "Ultimate", " ultimate "])
def test_spelling_of_a_strategy_does_not_matter(spelling: str) -> None:
    assert strategy_of(spelling) == STRATEGIES.get("ULTIMATE")


@pytest.mark.parametrize(
    ("wrong", "right"), [("COSIN", "COSINE"), ("constnat", "CONSTANT"), ("ULTIMAT", "ULTIMATE")]
)
def test_an_unknown_strategy_suggests_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(UsageError, match=f"learning-rate strategy.*{wrong}.*'{right}'"):
        strategy_of(wrong)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_every_schedule_can_be_had_by_name_alone_or_with_each_number(name: str) -> None:
    one = SCHEDULES.get(name)
    assert one in strategy_of("+".join({"constant", name, "warm_up"}))
    for field in dataclasses.fields(one):  # type: ignore[arg-type]
        (changed,) = strategy_of(f"{name}:{field.name}=0.625")
        assert getattr(changed, field.name) == 0.625
        assert changed == dataclasses.replace(one, **{field.name: 0.625})  # type: ignore[type-var]


def test_a_list_is_its_schedules_with_their_numbers() -> None:
    assert strategy_of("warm_up:share=0.1:start=0+cosine:end=1e-3") == (
        WarmUp(0.1, 0.0),
        Cosine(0.001),
    )
    assert strategy_of("newborn_warm_up:steps=1e2+cosine")[1] == Cosine()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("warm_up+cosin", "schedule.*'cosin'.*'cosine'"),
        ("cosine:ends=0.1", "no number 'ends'.*'end'"),
        ("cosine:end=0.1+cosine", "schedule cosine twice"),
        ("cosine:end=0.1:end=0.2", "has end twice"),
        ("soft_clamping:epochs=0", "cannot be 0"),
    ],
)
def test_mistakes_in_a_list_are_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        strategy_of(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("warm_up+", "no list of schedules"),
        ("warm_up:share", "no list of schedules"),
        ("cosine:end=-1", "cannot be -1"),
        ("cosine:end=nan", "cannot be nan"),
        ("cosine:end=much", "cannot be much"),
        ("cosine+Cosine", "twice"),
    ],
)
def test_a_list_of_another_form_is_refused_with_the_configuration(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        resolve(learning_rate_strategies=[text])


def test_two_spellings_of_a_list_are_one_strategy() -> None:
    given = "BASIC, Warm-Up:share=.1 + cosine,warm_up:share=0.10+COSINE"
    names = Config.model_validate({"learning_rate_strategies": given}).learning_rate_strategies
    assert names == ("BASIC", "warm_up:share=0.1+cosine")
    assert strategy_of(names[1]) == (WarmUp(0.1), Cosine())


def test_a_schedule_registered_by_a_plug_in_can_be_listed(registries: None) -> None:
    @schedule("thirds")
    @dataclasses.dataclass(frozen=True)
    class Thirds:
        step: float = 0.5

        def __call__(self, moment: Moment) -> float:
            return self.step ** int(3 * moment.progress)

    assert pace(strategy_of("thirds:step=0.1+constant"), Moment(0.5)) == 0.1
    with pytest.raises(UsageError, match="registered twice"):
        schedule("Thirds")(Thirds)


def test_the_limits_are_those_of_the_law() -> None:
    assert (LOWEST_RATE, HIGHEST_RATE) == (1e-6, 1e-2)
