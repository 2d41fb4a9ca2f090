"""From given values to the configuration that runs: presets, origins, what is not built."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structure_net.errors import UsageError
from structure_net.schema import (
    NOT_BUILT,
    NOT_BUILT_ORIGIN,
    PRESETS,
    Config,
    Given,
    Space,
    flat_values,
    resolve,
)
from structure_net.schema.not_built import NotBuilt

# Values of each field that the program cannot do, and of some that turn it off.
ASKED: dict[str, list[Any]] = {
    "enable_growth": [True, "yes"],
    "growth_frequency": [5, 7],
    "enable_residual_blocks": [True],
    "learning_rate_strategies": ["BASIC", "cosine,ultimate", ["ADVANCED"], "comprehensive"],
    "enable_profiling": [True],
    "profiling_level": [1, 2, "1"],
    "from_hunt": ["runs/hunt"],
    "executor": ["ray"],
    "dashboard": [True],
    "track": ["wandb"],
    "enable_wandb": [True],
    "checkpoint_seconds": [60],
    "grace_seconds": [10.0],
    "stall_factor": [10],
}
by_field = pytest.mark.parametrize("row", NOT_BUILT, ids=lambda row: row.field)


@by_field
def test_asked_for_what_is_not_built_is_an_error_that_names_it(row: NotBuilt) -> None:
    for value in ASKED[row.field]:
        with pytest.raises(UsageError) as told:
            resolve(Given({row.field: value}, {row.field: "file my.toml"}))
        assert str(told.value).startswith(f"{row.field} = ")
        assert "(from file my.toml) is not built yet" in str(told.value)


@by_field
@pytest.mark.parametrize("preset", ["quick", "balanced", "full"])
def test_a_default_that_is_not_built_is_resolved_without_it(row: NotBuilt, preset: str) -> None:
    default = Config.model_fields[row.field].get_default()
    default = PRESETS[preset].get(row.field, default)
    resolved = resolve(preset=preset)
    value, origin = getattr(resolved.config, row.field), resolved.origins[row.field]
    if row.inert:
        assert (value, origin) == (default, NOT_BUILT_ORIGIN)
    elif origin == NOT_BUILT_ORIGIN:
        assert value == row.instead != default
        assert (row.told in resolved.without) == bool(row.told)
    else:
        assert not row.missing(value)
        assert value == default or origin == f"preset:{preset}"
    assert not row.missing(row.instead) or row.inert


@by_field
def test_turning_it_off_works_and_is_told_as_given(row: NotBuilt) -> None:
    if row.inert:
        return
    resolved = resolve(Given({row.field: row.instead}, {row.field: "option --off"}))
    assert getattr(resolved.config, row.field) == row.instead
    assert resolved.origins[row.field] == "option --off"
    assert row.told not in resolved.without


def test_a_run_says_what_it_is_without() -> None:
    told = [row.told for row in NOT_BUILT if row.told]
    assert resolve(preset="balanced").without == told
    assert resolve(preset="quick").without == told


def test_a_wrong_value_of_a_missing_part_is_wrong_not_missing() -> None:
    for name, value in (("enable_growth", "perhaps"), ("retrain", -1), ("engine", "gpu")):
        with pytest.raises(UsageError, match=f"^{name} cannot be"):
            resolve(Given({name: value}))


def test_the_fitness_pareto_is_the_selection_pareto() -> None:
    for wish in ("pareto", "Pareto"):
        resolved = resolve(Given({"fitness": wish}, {"fitness": "command line"}))
        assert (resolved.config.fitness, resolved.config.selection) == ("seed", "pareto")
        for name in ("fitness", "selection"):
            assert resolved.origins[name] == "command line, fitness = pareto"
    assert resolve(fitness="pareto", selection="PARETO").config.selection == "pareto"
    with pytest.raises(UsageError, match=r"fitness = pareto .* and selection is truncation"):
        resolve(fitness="pareto", selection="truncation")
    assert resolve(selection="pareto", fitness="accuracy").config.fitness == "accuracy"


def test_strategies_of_a_plug_in_are_left_to_the_start_of_the_run() -> None:
    names = ("cosine", "STEPS", "STEPS")
    resolved = resolve(learning_rate_strategies=names, plugin=("mine.py",))
    assert resolved.config.learning_rate_strategies == ("COSINE", "STEPS")
    with pytest.raises(UsageError, match="no strategy 'STEPS'"):
        resolve(learning_rate_strategies=names)


PRESET_NUMBERS = {"quick": (16, 3, 10), "balanced": (32, 5, 15), "full": (64, 10, 20)}


@pytest.mark.parametrize("preset", sorted(PRESET_NUMBERS))
def test_presets_and_the_origin_of_their_values(preset: str) -> None:
    resolved = resolve(preset=preset)
    config, origins = resolved.config, resolved.origins
    numbers = (config.tournament_size, config.generations, config.epochs_per_generation)
    assert numbers == PRESET_NUMBERS[preset]
    assert origins["tournament_size"] == f"preset:{preset}"
    assert origins["preset"] == "argument"
    assert origins["seed"] == origins["space.min_width"] == "default"
    assert set(origins) == set(flat_values(config))


def test_without_a_word_the_balanced_preset_runs() -> None:
    assert resolve().config == resolve(preset="balanced").config
    assert resolve().origins["preset"] == "default"
    assert resolve(preset="quick").config.dataset == "digits"


def test_a_given_value_stands_over_the_preset() -> None:
    given = Given({"preset": "quick", "generations": 7}, {"generations": "environment X"})
    resolved = resolve(given)
    assert resolved.config.generations == 7
    assert resolved.origins["generations"] == "environment X"
    assert resolved.config.tournament_size == 16


def test_bounds_of_the_space_are_given_flat_or_whole() -> None:
    flat = resolve(Given({"space.max_width": 2000})).config.space
    assert flat == resolve(space={"max_width": 2000}).config.space
    assert flat == resolve(space=Space(max_width=2000)).config.space
    assert flat.max_width == 2000


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"preset": "big"}, "preset cannot be \"big\" (from P): input should be 'quick'"),
        ({"tournament_size": 1}, "tournament_size cannot be 1 (from P): input should be greater"),
        ({"sed": 1}, "There is no field 'sed' (from P)."),
        ({"space.width": 1}, "There is no field 'space.width' (from P)."),
        ({"space": 3}, "space cannot be 3 (from P)"),
        ({"space": 3, "space.min_width": 4}, "space cannot be 3 (from P)"),
        ({"space.min_width": 4, "space": 3}, "space cannot be 3 (from P)"),
        ({"name": ".."}, "name (from P): '..' cannot name a folder."),
        ({"learning_rate_strategies": "COSIN"}, "no strategy 'COSIN': did you mean 'COSINE'?"),
        (
            {"out": "a", "name": "b"},
            "out and name exclude each other: out is the whole directory (out from P, name from "
            "P).",
        ),
        (
            {"space.min_width": 9000},
            "space.min_width is 9000, above space.max_width which is 8192; lower the first or "
            "raise the second (space.min_width from P).",
        ),
    ],
)
def test_an_error_names_field_value_range_and_origin(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as told:
        resolve(Given(values, dict.fromkeys(values, "P")))
    assert said in str(told.value)
    assert ".." not in str(told.value).replace("'..'", "")


def test_a_conflict_of_given_and_preset_names_both_sources() -> None:
    given = Given({"preset": "quick", "survivors_per_generation": 16})
    with pytest.raises(UsageError) as told:
        resolve(Given(given.values, {"survivors_per_generation": "option --survivors"}))
    assert "survivors_per_generation from option --survivors" in str(told.value)
    assert "tournament_size from preset:quick" in str(told.value)


def test_several_problems_are_told_together() -> None:
    with pytest.raises(UsageError) as told:
        resolve(seed=-1, generations=0, sed=3)
    for part in ("seed cannot be -1", "generations cannot be 0", "There is no field 'sed'"):
        assert part in str(told.value)


NAMES = sorted({*flat_values(Config()), "space", "sed", "space.", "space.x", ""})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["quick", "cosine", "1", "0.5", "../..", "cuda:1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["min_width", "activations", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(max_examples=500)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5))
def test_whatever_is_given_runs_or_is_one_paragraph(values: dict[str, Any]) -> None:
    try:
        resolved = resolve(Given(values, dict.fromkeys(values, "somewhere")))
    except UsageError as problem:
        said = str(problem)
        assert said
        assert "pydantic" not in said
        return
    assert set(values) <= {*resolved.origins, "space"}
    text = resolved.config.model_dump_json()
    assert Config.model_validate_json(text) == resolved.config
    assert json.loads(text)["seed"] == resolved.config.seed
