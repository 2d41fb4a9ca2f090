"""The configuration as data: ranges, names, presets, and the forms it is stored in."""

from __future__ import annotations

import math
import re
import tomllib
from fractions import Fraction
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError

from structure_net.errors import UsageError
from structure_net.schema import (
    FREE_OF_RESULTS,
    NOT_BUILT,
    PRESETS,
    STRATEGIES,
    Config,
    Given,
    Resolved,
    Space,
    config_toml,
    deciding_values,
    flat_values,
    resolve,
)

# One value of every field that is not the default and that the program can do today.
CHANGED: dict[str, Any] = {
    "preset": "full",
    "tournament_size": 10,
    "generations": 2,
    "survivors_per_generation": 3,
    "mutation_rate": 0.25,
    "adaptive_operators": True,
    "rungs": 3,
    "retrain": 1,
    "epochs_per_generation": 4,
    "enable_comprehensive_metrics": False,
    "enable_growth": False,
    "growth_frequency": 2,
    "growth_rules": ["predicted_gain", "none"],
    "enable_residual_blocks": False,
    "metrics_frequency": 3,
    "metrics_level": "full",
    "mixed_precision": False,
    "gradient_checkpointing": False,
    "memory_cleanup_frequency": 3,
    "max_memory_per_gpu": 0.5,
    "batch_size_base": 64,
    "weight_decay": 0.0,
    "initialisation": "lsuv",
    "learning_rate_strategies": ["COSINE", "warm_up:share=0.1+cosine"],
    "learning_rate_control": "shuffled",
    "max_layers": 7,
    "processes_per_gpu": 1,
    "dataset": 'di git\'s "x" \u00e9\t',
    "data_dir": "some where/\u00e9",
    "limit_train": 500,
    "validation_fraction": 0.2,
    "augmentation": "flip+crop",
    "selection": "best-of-k",
    "inherit": "none",
    "fitness": "accuracy",
    "plugin": ["a folder/mine.py", "other.py"],
    "search": "local",
    "max_cost": 10**15,
    "device": "cuda:3",
    "workers": 3,
    "executor": "serial",
    "engine": "csr",
    "seed": 2**63 - 1,
    "name": "a.b_c+d-1",
    "max_failed_fraction": 0.5,
    "space.initial_architectures": [[32], [64, 32]],
    "space.initial_min_hidden_layers": 2,
    "space.initial_max_hidden_layers": 3,
    "space.initial_min_width": 80,
    "space.initial_max_width": 800,
    "space.initial_min_density": 0.02,
    "space.initial_max_density": 0.08,
    "space.initial_min_learning_rate": 0.002,
    "space.initial_max_learning_rate": 0.008,
    "space.min_width": 16,
    "space.max_width": 2048,
    "space.min_density": 0.015,
    "space.max_density": 0.3,
    "space.activations": ["tanh", "relu"],
    "space.normalisations": ["rms", "none"],
    "space.min_learning_rate": 2e-4,
    "space.max_learning_rate": 0.05,
    "space.allocation": "uniform",
    "space.max_parameters": 123_456,
}


def flattened(document: dict[str, Any]) -> dict[str, Any]:
    space = document.pop("space", {})
    return {**document, **{f"space.{name}": value for name, value in space.items()}}


def test_every_field_that_works_has_a_changed_value_here() -> None:
    names = set(flat_values(Config()))
    missing = {row.field for row in NOT_BUILT}
    assert set(CHANGED) == names - missing - {"out"} | {"engine", "executor"}
    defaults = flat_values(Config())
    assert all(defaults[name] != value for name, value in CHANGED.items())


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_toml_file_of_a_preset_gives_it_back(preset: str) -> None:
    resolved = resolve(preset=preset)
    again = resolve(Given(flattened(tomllib.loads(config_toml(resolved)))))
    assert again.config == resolved.config


def test_the_toml_file_gives_every_value_back() -> None:
    resolved = resolve(Given(CHANGED, dict.fromkeys(CHANGED, "file a\nb\x1b[31m.toml")))
    text = config_toml(resolved)
    again = resolve(Given(flattened(tomllib.loads(text))))
    assert again.config == resolved.config
    told = flat_values(again.config)
    for name, value in CHANGED.items():
        assert told[name] == value
    assert "\x1b" not in text
    for name in (*Config.model_fields, *Space.model_fields):
        assert name in text  # set or unset, every field is named with its meaning
        field = Config.model_fields.get(name) or Space.model_fields[name]
        assert field.description in text or name == "space" or name in INERT


INERT = {row.field for row in NOT_BUILT if row.inert}


def test_the_json_form_gives_every_value_back() -> None:
    resolved = resolve(Given(CHANGED))
    assert Config.model_validate_json(resolved.config.model_dump_json()) == resolved.config
    assert Resolved.model_validate_json(resolved.model_dump_json()) == resolved
    assert Config.model_validate(resolved.config.model_dump()) == resolved.config


@pytest.mark.parametrize("rungs", range(8))
def test_rungs_stand_at_halved_shares_of_the_epochs(rungs: int) -> None:
    for epochs in range(1, 70):
        config = Config(rungs=rungs, epochs_per_generation=epochs)
        shares = [Fraction(1, 2**halvings) for halvings in range(1, rungs + 1)]
        wanted = {max(1, math.floor(share * epochs)) for share in shares} - {epochs}
        assert list(config.rung_epochs) == sorted(wanted)
    assert Config(rungs=2, epochs_per_generation=8).rung_epochs == (2, 4)
    assert Config(rungs=2, epochs_per_generation=2).rung_epochs == (1,)
    assert Config(rungs=2, epochs_per_generation=1).rung_epochs == ()


def test_the_fields_that_cannot_change_a_result_exist() -> None:
    assert set(Config.model_fields) >= FREE_OF_RESULTS
    values = flat_values(Config())
    assert set(deciding_values(Config())) == set(values) - FREE_OF_RESULTS - {"plugin"}
    for name in ("seed", "tournament_size", "batch_size_base", "engine", "device", "dataset"):
        assert name not in FREE_OF_RESULTS


def limits() -> list[tuple[str, Any, float]]:
    """(field, value just beyond a limit, the limit) of every bounded number."""
    found: list[tuple[str, Any, float]] = []
    for model, before in ((Config, ""), (Space, "space.")):
        for name, field in model.model_fields.items():
            for bound in field.metadata:
                step = 1 if "int" in str(field.annotation) else 1e-9
                match bound:
                    case Ge(ge=limit):
                        found.append((before + name, limit - step, limit))
                    case Gt(gt=limit):
                        found.append((before + name, limit, limit))
                    case Le(le=limit):
                        found.append((before + name, limit + step, limit))
                    case Lt(lt=limit):
                        found.append((before + name, limit, limit))
    return found


def test_every_bounded_number_is_refused_beyond_its_limit_with_name_value_limit_origin() -> None:
    beyond = limits()
    assert len({name for name, _, _ in beyond}) > 30
    for name, value, limit in beyond:
        with pytest.raises(UsageError) as told:
            resolve(Given({name: value}, {name: f"option --{name}"}))
        text = str(told.value)
        if "not built yet" not in text:
            assert f"{name} cannot be {value}" in text
            assert limit in [float(word) for word in re.findall(r"[\d.]*\d", text.split("): ")[1])]
        assert f"from option --{name}" in text
        assert "\n" not in text


def test_unknown_fields_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"epoch": 3})
    with pytest.raises(ValidationError):
        Config.model_validate({"space": {"width": 3}})
    with pytest.raises(ValidationError):
        Config().seed = 3  # type: ignore[misc]


def test_lists_may_be_written_with_commas_and_names_in_any_case() -> None:
    for given in ("cosine,CONSTANT", ["Cosine", "constant"], " COSINE , constant ,", "cosine,"):
        names = Config.model_validate({"learning_rate_strategies": given}).learning_rate_strategies
        assert names in (("COSINE", "CONSTANT"), ("COSINE",))
    assert Config().learning_rate_strategies == STRATEGIES[:4]


@pytest.mark.parametrize("value", [(), "", ",", "COSINE,WARM", [3], None])
def test_strategies_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"learning_rate_strategies": value})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices(device: str) -> None:
    assert Config(device=device).device == device


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:0\n"])
def test_what_is_no_device(device: str) -> None:
    with pytest.raises(ValidationError, match="device"):
        Config(device=device)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("none", "none"),
        ("flip", "flip"),
        ("mixup+CROP + flip", "flip+crop+mixup"),
        ("crop2+flip", "flip+crop2"),
        (None, None),
    ],
)
def test_augmentation_has_one_spelling(given: str | None, kept: str | None) -> None:
    assert Config(augmentation=given).augmentation == kept


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("flop", "no augmentation 'flop': did you mean 'flip'"),
        ("flip,crop", "joined by +, as in flip+crop"),
        ("flip+none", "none stands alone"),
        ("flip+", "no augmentation ''"),
        ("crop+crop2", "names crop twice"),
        ("crop0", "no augmentation 'crop0': did you mean 'crop'"),
    ],
)
def test_an_augmentation_that_is_none(given: str, told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        Config(augmentation=given)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a b", "x" * 101, "a\n", "-\0"])
def test_what_cannot_name_a_folder(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Config(name=name)


@pytest.mark.parametrize("size", range(2, 12))
def test_survivors_are_a_quarter_or_as_given_but_never_all(size: int) -> None:
    assert Config(tournament_size=size).survivors == max(1, size // 4)
    assert Config(tournament_size=size, survivors_per_generation=size - 1).survivors == size - 1
    with pytest.raises(ValidationError, match="every generation needs offspring"):
        Config(tournament_size=size, survivors_per_generation=size)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("initial_min_width", "initial_max_width"),
        ("min_width", "initial_min_width"),
        ("initial_max_width", "max_width"),
        ("min_density", "initial_min_density"),
        ("initial_max_density", "max_density"),
        ("initial_min_learning_rate", "initial_max_learning_rate"),
        ("min_learning_rate", "initial_min_learning_rate"),
        ("initial_min_hidden_layers", "initial_max_hidden_layers"),
    ],
)
def test_a_range_the_wrong_way_round_is_refused(low: str, high: str) -> None:
    above = getattr(Space(), high) + (1 if isinstance(getattr(Space(), high), int) else 0.01)
    with pytest.raises(ValidationError, match=f"space.{low} is .* above space"):
        Space.model_validate({low: above})


def test_widths_shrink_with_the_root_of_the_inputs() -> None:
    space = Space()
    assert space.scaled(512, 3072) == space.scaled(512, 10**6) == 512
    assert space.scaled(512, 768) == 256
    assert space.scaled(512, 1) == 9
    assert space.scaled(64, 1) == 8
    assert space.scaled(5, 1) == 5  # never wider than it was
    assert space.width_range(64) == (8, 1182)
