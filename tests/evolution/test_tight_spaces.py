"""Spaces that leave little room, or none: never left, never a crash, no genome twice."""

from __future__ import annotations

from typing import Any

import pytest

from structure_net.errors import UsageError
from structure_net.evolution import Evolution
from tests.evolution.worlds import assert_inside, config_of, play

DENSITIES = ("initial_min_density", "initial_max_density", "min_density", "max_density")
RATES = (
    "initial_min_learning_rate",
    "initial_max_learning_rate",
    "min_learning_rate",
    "max_learning_rate",
)
POINT = {"initial_min_width": 40, "initial_max_width": 40, "min_width": 40, "max_width": 40}
TIGHT: dict[str, dict[str, Any]] = {
    "two layers": {"max_layers": 2},
    "few parameters": {"space": {"max_parameters": 120}},
    "parameters for one layer only": {
        "space": {"max_parameters": 60, "initial_min_hidden_layers": 4}
    },
    "one width": {"space": POINT},
    "one width, one depth": {"max_layers": 2, "space": POINT},
    "one density": {"space": dict.fromkeys(DENSITIES, 0.05)},
    "one activation": {
        "learning_rate_strategies": ("COSINE",),
        "space": {"activations": ["gelu"]},
    },
    "one normalisation": {"space": {"normalisations": ["rms"]}},
    "density below every floor": {
        "space": {
            "initial_min_density": 1e-4,
            "initial_max_density": 2e-4,
            "min_density": 1e-5,
            "max_density": 2e-4,
        }
    },
    "full density only": {"space": dict.fromkeys(DENSITIES, 1.0)},
    "named lists wider and deeper than allowed": {
        "max_layers": 3,
        "space": {
            "initial_architectures": [[5000] * 9, [1], [7, 9000]],
            "max_width": 300,
            "initial_max_width": 300,
        },
    },
    "no named list": {"space": {"initial_architectures": []}},
    "one learning rate": {"space": dict.fromkeys(RATES, 0.003)},
    "uniform allocation": {"space": {"allocation": "uniform"}},
}


@pytest.mark.parametrize("name", TIGHT)
@pytest.mark.parametrize("inputs", [3, 64])
def test_a_tight_space_is_never_left_nor_a_genome_asked_for_twice(name: str, inputs: int) -> None:
    config = config_of(tournament_size=12, generations=6, mutation_rate=0.8, **TIGHT[name])
    trials = [trial for asked in play(config, inputs)[0] for trial in asked]
    for trial in trials:
        assert_inside(trial.genome, config, inputs, 10)
    assert len({trial.genome.id for trial in trials}) == len(trials)


def test_a_space_of_one_network_asks_for_that_one() -> None:
    """Where nothing else can be had, a genome is trained again on another seed."""
    space = {**POINT, **TIGHT["full density only"]["space"], **TIGHT["one learning rate"]["space"]}
    config = config_of(
        tournament_size=4,
        generations=3,
        max_layers=2,
        learning_rate_strategies=("COSINE",),
        growth_rules=("none",),
        space={**space, "activations": ["relu"]},
    )
    trials = [trial for asked in play(config)[0] for trial in asked]
    assert len({trial.genome.id for trial in trials}) == 1
    assert len({trial.seed for trial in trials}) == len(trials)


@pytest.mark.parametrize(
    ("space", "inputs", "said"),
    [
        ({"max_parameters": 20}, 64, "parameters, at most 20"),
        (
            {"max_parameters": 300, "min_density": 0.9, "initial_min_density": 0.9}
            | {"initial_max_density": 0.95, "max_density": 0.95},
            64,
            "below 0.9",
        ),
        ({"max_parameters": 1}, 3072, "space.max_parameters is 1"),
    ],
)
def test_a_space_that_holds_nothing_is_a_usage_error(
    space: dict[str, Any], inputs: int, said: str
) -> None:
    with pytest.raises(UsageError) as told:
        Evolution(config_of(space=space), inputs, 10)
    assert said in str(told.value)
    assert f"{inputs} inputs and 10 classes" in str(told.value)
    assert "[space]" in str(told.value)
