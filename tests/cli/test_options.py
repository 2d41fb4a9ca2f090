"""Options, environment, file, preset, default: which one wins, and what is said of it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from structure_net.cli import main
from structure_net.cli.fields import bare_type, fields, keys, option_names
from structure_net.schema import NOT_BUILT, NOT_BUILT_COMMANDS, Config, Space, config_toml, resolve
from structure_net.schema.resolve import flat_values


def shown(capsys, *arguments: str) -> dict:
    assert main(["config", "show", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    for unwanted in ("Traceback", "pydantic", "╭", "http"):
        assert unwanted not in printed.err
    return printed.err


# field, option, then a value for command line, environment and file, as text and as a value
KINDS = {
    "integer": ("epochs_per_generation", "--epochs", [("7", 7), ("8", 8), ("9", 9)]),
    "number": ("mutation_rate", "--mutation-rate", [("0.1", 0.1), ("0.2", 0.2), ("0.4", 0.4)]),
    "text": ("dataset", "--dataset", [("a", "a"), ("b", "b"), ("c", "c")]),
    "path": ("data_dir", "--data-dir", [("a", "a"), ("b", "b"), ("c", "c")]),
    "choice": (
        "engine",
        "--engine",
        [("dense", "dense"), ("csr", "csr"), ("auto", "auto")],
    ),
    "list": (
        "space.activations",
        "--space.activations",
        [("relu,tanh", ["relu", "tanh"]), ("gelu", ["gelu"]), ("silu, relu", ["silu", "relu"])],
    ),
    "lists": (
        "space.initial_architectures",
        "--space.initial-architectures",
        [("9,8;7", [[9, 8], [7]]), ("6", [[6]]), ("5;4", [[5], [4]])],
    ),
    "optional": ("workers", "--workers", [("1", 1), ("2", 2), ("3", 3)]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", list(itertools.product([False, True], repeat=4)))
def test_precedence(kind, layers, capsys, monkeypatch, tmp_path):
    field, option, values = KINDS[kind]
    line, environment, file, preset = layers
    variable = "STRUCTURE_NET_" + field.upper().replace(".", "_")
    arguments = ["--quick"] if preset else []
    expected, origin = default_of(field, "quick" if preset else "balanced")
    if file:
        path = tmp_path / "given.toml"
        table, _, key = field.rpartition(".")
        text = json.dumps(values[2][1])
        path.write_text(f"[{table}]\n{key} = {text}\n" if table else f"{key} = {text}\n")
        arguments += ["--config", str(path)]
        expected, origin = values[2][1], f"file {path}"
    if environment:
        monkeypatch.setenv(variable, values[1][0])
        expected, origin = values[1][1], f"environment {variable}"
    if line:
        arguments += [option, values[0][0]]
        expected, origin = values[0][1], "command line"
    assert shown(capsys, *arguments)[field] == {"value": expected, "origin": origin}


def default_of(field: str, preset: str) -> tuple[object, str]:
    """The witness is the schema itself, which knows no command line."""
    resolved = resolve(preset=preset)
    return flat_values(resolved.config)[field], resolved.origins[field]


@pytest.mark.parametrize("layer", ["command line", "environment", "file"])
def test_truth_values_can_be_turned_off_everywhere(layer, capsys, monkeypatch, tmp_path):
    for field in ("enable_growth", "enable_profiling", "mixed_precision", "dashboard"):
        names = option_names(field)
        arguments = []
        if layer == "command line":
            arguments = ["--no-" + names[0]]
        elif layer == "environment":
            monkeypatch.setenv("STRUCTURE_NET_" + field.upper(), "off")
        else:
            (tmp_path / "c.toml").write_text(f"{field} = false\n")
            arguments = ["--config", "c.toml"]
        row = shown(capsys, *arguments)[field]
        assert row["value"] is False
        assert row["origin"].startswith(layer)


def test_both_names_of_an_option_work_in_every_layer(capsys, monkeypatch, tmp_path):
    for name in ("epochs", "epochs-per-generation"):
        assert shown(capsys, f"--{name}", "4")["epochs_per_generation"]["value"] == 4
        variable = "STRUCTURE_NET_" + name.upper().replace("-", "_")
        monkeypatch.setenv(variable, "6")
        row = shown(capsys)["epochs_per_generation"]
        assert row == {"value": 6, "origin": f"environment {variable}"}
        monkeypatch.delenv(variable)
        for key in (name, name.replace("-", "_")):
            (tmp_path / "c.toml").write_text(f"{key} = 5\n")
            row = shown(capsys, "--config", "c.toml")["epochs_per_generation"]
            assert row == {"value": 5, "origin": "file c.toml"}
    assert shown(capsys, "--max-parameters", "99")["space.max_parameters"]["value"] == 99


def test_presets_in_every_layer(capsys, monkeypatch, tmp_path):
    (tmp_path / "c.toml").write_text("full = true\n")
    row = shown(capsys, "--config", "c.toml")
    assert (row["preset"]["value"], row["preset"]["origin"]) == ("full", "file c.toml")
    assert row["tournament_size"] == {"value": 64, "origin": "preset:full"}
    monkeypatch.setenv("STRUCTURE_NET_QUICK", "1")
    assert shown(capsys, "--config", "c.toml")["preset"]["value"] == "quick"
    assert shown(capsys, "--preset", "balanced")["preset"]["value"] == "balanced"
    monkeypatch.setenv("STRUCTURE_NET_QUICK", "0")
    assert shown(capsys)["preset"] == {"value": "balanced", "origin": "default"}


@pytest.mark.parametrize(
    "arguments",
    [["--quick", "--full"], ["--quick", "--preset", "full"], ["--full", "--preset", "quick"]],
)
def test_presets_that_contradict(arguments, capsys):
    assert "preset is given twice" in refused(capsys, "tournament", *arguments)


def test_the_same_preset_twice_is_no_contradiction(capsys):
    assert shown(capsys, "--quick", "--preset", "quick")["preset"]["value"] == "quick"


def test_one_variable_under_two_names_with_two_values(capsys, monkeypatch):
    monkeypatch.setenv("STRUCTURE_NET_EPOCHS", "3")
    monkeypatch.setenv("STRUCTURE_NET_EPOCHS_PER_GENERATION", "4")
    assert "given twice" in refused(capsys, "config", "show")
    monkeypatch.setenv("STRUCTURE_NET_EPOCHS_PER_GENERATION", "3")
    assert shown(capsys)["epochs_per_generation"]["value"] == 3


def a_value(field: str) -> str:
    """Some allowed value of a field as text, other than its default where that is possible."""
    special = {
        "preset": "full",
        "device": "cpu",
        "augmentation": "flip",
        "learning_rate_strategies": "COSINE",
        "growth_rules": "extrema",
        "space.activations": "relu",
        "space.normalisations": "rms",
        "space.initial_architectures": "100,50",
        "space.min_density": "0.005",
        "space.max_density": "0.5",
    }
    if field in special:
        return special[field]
    row = next((row for row in NOT_BUILT if row.field == field), None)
    if row is not None and row.instead is not None:
        return str(row.instead).lower() if isinstance(row.instead, bool) else str(row.instead)
    default = default_of(field, "balanced")[0]
    return "25" if default in (None, []) else str(default)


@pytest.mark.parametrize("field", [*fields()])
def test_every_field_is_an_option(field, capsys):
    row = next((row for row in NOT_BUILT if row.field == field), None)
    switch = bare_type(field) is bool
    if switch:
        off = "--no-" + option_names(field)[0].removeprefix("enable-")
        assert shown(capsys, off)[field] == {"value": False, "origin": "command line"}
    for name in option_names(field):
        given = ["--" + name] if switch else ["--" + name, a_value(field)]
        if row is not None and (switch or row.inert or row.instead in (None, ())):
            assert refused(capsys, "config", "show", *given).startswith(field)
        else:
            assert shown(capsys, *given)[field]["origin"] == "command line"


def test_fields_are_those_of_the_schema():
    assert set(fields()) == {name for name in Config.model_fields if name != "space"} | {
        f"space.{name}" for name in Space.model_fields
    }
    assert set(keys().values()) == {*fields(), "quick", "full"}


NOT_BUILT_EXAMPLES = {
    "enable_growth": True,
    "growth_frequency": 5,
    "learning_rate_strategies": ["COSINE", "ULTIMATE"],
    "enable_profiling": True,
    "profiling_level": 1,
    "from_hunt": "runs/x",
    "executor": "ray",
    "dashboard": True,
    "track": ["wandb"],
    "enable_wandb": True,
    "checkpoint_seconds": 5.0,
    "grace_seconds": 5.0,
    "stall_factor": 20.0,
}


@pytest.mark.parametrize("field", [row.field for row in NOT_BUILT])
@pytest.mark.parametrize("layer", ["command line", "environment", "file"])
def test_what_is_not_built_is_refused_by_name(field, layer, capsys, monkeypatch, tmp_path):
    value = NOT_BUILT_EXAMPLES[field]
    text = ",".join(value) if isinstance(value, list) else str(value).lower()
    arguments = ["config", "show"]
    if layer == "environment":
        monkeypatch.setenv("STRUCTURE_NET_" + field.upper(), text)
    elif layer == "file":
        (tmp_path / "c.toml").write_text(f"{field} = {json.dumps(value)}\n")
        arguments += ["--config", "c.toml"]
    elif value is True:
        arguments += ["--" + option_names(field)[0]]
    else:
        arguments += ["--" + option_names(field)[0], text]
    error = refused(capsys, *arguments)
    assert error.startswith(field)
    assert f"(from {layer}" in error
    assert "is not built yet" in error


@pytest.mark.parametrize("command", NOT_BUILT_COMMANDS)
def test_commands_that_are_not_built(command, capsys):
    words = f"structure-net {command} ({NOT_BUILT_COMMANDS[command]}) is not built yet.\n"
    assert refused(capsys, command) == words
    assert refused(capsys, command, "--quick", "whatever", "--help") == words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tournament", "--epochz", "3"], ["--epochz", "--epochs"]),
        (["tournament", "--epochs"], ["--epochs", "requires an argument"]),
        (["tournament", "--epochs", "0"], ["epochs_per_generation", "0", "command line", "1"]),
        (["tournament", "--epochs", "x"], ["epochs_per_generation", "'x'", "command line"]),
        (["tournament", "--selection", "x"], ["selection", "'x'", "best-of-k"]),
        (["tournament", "--device", "tpu"], ["device", "tpu", "cuda"]),
        (["tournament", "--survivors", "32"], ["per_generation is 32", "tournament_size"]),
        (["tournament", "--learning-rate-strategies", "COSIN"], ["COSIN", "'COSINE'"]),
        (["tournament", "--mutation-rate", "nan"], ["mutation_rate", "NaN"]),
        (["tournament", "stray"], ["stray", "tournament --help"]),
        (["tournamen"], ["tournamen", "Did you mean"]),
        (["tournament", "--out", "a", "--name", "b"], ["out", "name"]),
        (["tournament", "--config", "none.toml"], ["none.toml", "does not exist"]),
        (["resume", "--epochs", "3", "x"], ["--epochs"]),
        (["resume", "none"], ["none", "run.db"]),
        (["show", "none"], ["none", "run.db"]),
        (["show"], ["RUN"]),
        (["resume"], ["RUN"]),
    ],
)
def test_errors_say_what_and_where(arguments, words, capsys):
    error = refused(capsys, *arguments)
    for word in words:
        assert word in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochz = 3\n", ["epochz", "'epochs'"]),
        ("a = 1\nepochs = = 3\n", ["line 2"]),
        ("[space]\nmin_widt = 3\n", ["space.min_widt", "'space.min_width'"]),
        ("space = 3\n", ["space", "table"]),
        ("epochs = true\n", ["epochs_per_generation", "true"]),
        ("epochs = {a = 1}\n", ["epochs_per_generation", "table"]),
        ("epochs = 1979-05-27\n", ["epochs_per_generation"]),
        ("epochs = 0x" + "f" * 5000 + "\n", ["epochs_per_generation", "64 bits"]),
        ("epochs = " + "9" * 5000 + "\n", ["c.toml"]),
        ("a = " + "[" * 5000 + "]" * 5000 + "\n", ["c.toml"]),
        ("epochs = 0\n", ["epochs_per_generation", "file c.toml", "1"]),
        ("mutation_rate = nan\n", ["mutation_rate"]),
        ('"space.min_width" = 3\n', ["space.min_width"]),
        ("[tournament]\nepochs = 3\n", ["tournament"]),
    ],
)
def test_file_errors_name_file_and_key(text, words, capsys, tmp_path):
    (tmp_path / "c.toml").write_text(text)
    error = refused(capsys, "config", "check", "c.toml")
    for word in ["c.toml", *words]:
        assert word in error


def test_unknown_variables(capsys, monkeypatch):
    for name in ("DATA", "CACHE", "FAULT", "CI"):
        monkeypatch.setenv(f"STRUCTURE_NET_{name}", "x")
    shown(capsys)
    monkeypatch.setenv("STRUCTURE_NET_EPOCH", "3")
    error = refused(capsys, "config", "show")
    assert "STRUCTURE_NET_EPOCH " in error
    assert "EPOCHS" in error


FULL_LINE = [
    *("--quick", "--seed", "7", "--workers", "3", "--out", 'runs/a "b"', "--limit-train", "500"),
    *("--space.activations", "relu,tanh", "--max-parameters", "90000", "--no-growth"),
    *("--mutation-rate", "0.25", "--space.initial-architectures", "64;32,16", "--survivors", "2"),
]


@pytest.mark.parametrize("arguments", [[], ["--quick"], ["--full"], FULL_LINE])
def test_config_file_round_trip(arguments, fake, capsys, tmp_path):
    assert main(["tournament", *arguments]) == 0
    path = tmp_path / "config.toml"
    path.write_text(config_toml(fake.resolved[0]))
    capsys.readouterr()
    assert main(["config", "check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path} is valid.\n"
    assert main(["tournament", "--config", str(path)]) == 0
    assert fake.resolved[1].config == fake.resolved[0].config
    assert fake.resolved[1].origins["seed"] == f"file {path}"


def test_a_later_name_takes_back_an_earlier_directory(capsys, monkeypatch, tmp_path):
    (tmp_path / "c.toml").write_text('out = "runs/a"\n')
    rows = shown(capsys, "--config", "c.toml", "--name", "b")
    assert (rows["out"]["value"], rows["name"]["value"]) == (None, "b")
    monkeypatch.setenv("STRUCTURE_NET_NAME", "b")
    rows = shown(capsys, "--config", "c.toml", "--out", "runs/d")
    assert (rows["out"]["value"], rows["name"]["value"]) == ("runs/d", None)


def test_config_show_as_text_has_a_line_for_every_field(capsys):
    assert main(["config", "show", "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(flat_values(resolve().config))
    assert any(line.split() == ["dataset", "digits", "preset:quick"] for line in lines)


def test_paths_of_the_file_are_kept_as_given(capsys):
    row = shown(capsys, "--data-dir", "some/../where")["data_dir"]
    assert row["value"] == str(Path("some/../where"))


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--epochs", "5", "--epochs", "2"], "epochs_per_generation", 2),
        (["--epochs", "5", "--epochs-per-generation=2"], "epochs_per_generation", 2),
        (["--seed=1", "--quick", "--seed", "4"], "seed", 4),
        (["--residual", "--no-residual"], "enable_residual_blocks", False),
        (["--data-dir", "a", "--data-dir", "b"], "data_dir", "b"),
    ],
)
def test_of_an_option_given_twice_the_last_word_counts(arguments, field, value, capsys):
    assert shown(capsys, *arguments)[field]["value"] == value
