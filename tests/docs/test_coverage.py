"""The pages name everything a user can meet, with its true default; and nothing else."""

from __future__ import annotations

import dataclasses
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from structure_net import errors
from structure_net.cli.app import application
from structure_net.cli.fields import bare_type, fields, option_names
from structure_net.cli.resume import CHANGEABLE
from structure_net.cli.sources import OTHER_VARIABLES, PREFIX
from structure_net.datasets import datasets
from structure_net.engine import ENGINES
from structure_net.evolution import FITNESS, MUTATIONS, SELECTION, WEIGHTS
from structure_net.genome import Allocation
from structure_net.learning_rates import ROWS, SCHEDULES, STRATEGIES
from structure_net.schema import (
    KINDS,
    NOT_BUILT,
    NOT_BUILT_COMMANDS,
    PRESETS,
    Config,
    DatasetFacts,
    Failure,
    FailureEntry,
    FinalBest,
    FrontEntry,
    GenerationSummary,
    Ledger,
    PluginFile,
    Results,
    SystemStats,
    flat_values,
    resolve,
)
from structure_net.store import DATABASE, Store
from tests.docs.blocks import PAGES, README, ROOT

DOCS = ROOT / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()
CONCEPTS = (DOCS / "concepts.md").read_text()
LEARNING_RATES = (DOCS / "learning-rates.md").read_text()
RUN_DIRECTORY = (DOCS / "run-directory.md").read_text()


def rows(text: str) -> list[list[str]]:
    """Every table row as its cells."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and line.endswith(" |")]
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]


FIELD_ROWS = {
    row[1].strip("` "): row for row in rows(CONFIGURATION) if len(row) == 5 and "`--" in row[0]
}


def shown(value: Any) -> str:
    """A default as the page writes it."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        inner = ";" if value and isinstance(value[0], list) else ","
        return inner.join(map(shown, value)) or "none"
    return str(value)


def test_each_field_has_one_row_and_each_row_a_field() -> None:
    assert list(FIELD_ROWS) != []
    assert FIELD_ROWS.keys() == fields().keys()
    assert len([row for row in rows(CONFIGURATION) if len(row) == 5 and "`--" in row[0]]) == len(
        FIELD_ROWS
    )


@pytest.mark.parametrize("field", fields())
def test_a_row_has_the_options_the_default_and_the_choices(field: str) -> None:
    options, _, default, values, meaning = FIELD_ROWS[field]
    wanted = ["--" + name for name in option_names(field)]
    if bare_type(field) is bool:
        wanted.append("--no-" + option_names(field)[0].removeprefix("enable-"))
    assert re.findall(r"`(--[^`]+)`", options) == wanted
    assert default == f"`{shown(flat_values(resolve().config)[field])}`"
    kind = bare_type(field)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    assert [choice for choice in choices if choice not in values] == []
    assert len(meaning) > 10


@pytest.mark.parametrize("field", fields())
def test_a_row_is_marked_not_built_exactly_if_something_is(field: str) -> None:
    meaning = FIELD_ROWS[field][4]
    row = next((row for row in NOT_BUILT if row.field == field), None)
    assert ("Not built" in meaning) == (row is not None)
    if row is not None and "Not built: " in meaning and not row.inert:
        marked = re.search(r"Not built: ([^.]*)\.", meaning)
        assert marked is not None
        kind = bare_type(field)
        if get_origin(kind) is Literal:
            missing = [choice for choice in get_args(kind) if row.missing(choice)]
            assert marked[1].split(", ") == missing


COMMANDS = {
    "tournament": application()["tournament"],
    "resume": application()["resume"],
    "show": application()["show"],
    "report": application()["report"],
    "analyse": application()["analyse"],
    "doctor": application()["doctor"],
    "config show": application()["config"]["show"],
    "config check": application()["config"]["check"],
    "bench": application()["bench"],
    "compare": application()["compare"],
    "study": application()["study"],
}


def test_every_command_is_named() -> None:
    meta = {"--help", "-h", "--version", "--install-completion"}
    known = set(application()) - meta - {"config"} | {"config show", "config check"}
    assert known == COMMANDS.keys()
    text = CONFIGURATION + README.read_text()
    assert [name for name in (*meta, *known) if f"{name}" not in text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_named(command: str) -> None:
    arguments = COMMANDS[command].assemble_argument_collection()
    options = {name for argument in arguments for name in argument.names if name.startswith("--")}
    assert options or command == "config check"
    assert options <= set(re.findall(r"--[a-z][\w.-]*", CONFIGURATION))


def test_no_option_is_named_that_does_not_exist() -> None:
    known = {"--help", "--debug", "--version", "--install-completion", "--set-up"}
    for app in COMMANDS.values():
        known |= {name for one in app.assemble_argument_collection() for name in one.names}
    named = {
        (page.name, name.rstrip("."))
        for page in PAGES
        for name in re.findall(r"(?<![\w-])--[a-z][\w.-]*", page.read_text())
    }
    assert {(page, name) for page, name in named if name not in known} == set()


def test_what_resume_takes_is_listed() -> None:
    listed = re.search(
        r"`resume RUN` takes what cannot change a result: ([^;]*?)\.\n", CONFIGURATION
    )
    assert listed is not None
    options = [f"--{option_names(field)[0]}" for field in sorted(CHANGEABLE)]
    assert sorted(re.findall(r"`(--[\w-]+)`", listed[1])) == sorted(options)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_presets_are_those_of_the_program(preset: str) -> None:
    found = [row for row in rows(CONFIGURATION) if row[0] == f"`{preset}`" and len(row) == 7]
    values = {**Config(preset=preset).model_dump(), **PRESETS[preset]}
    names = ("tournament_size", "generations", "epochs_per_generation", "dataset", "retrain")
    assert [row[2:] for row in found] == [
        [
            str(values[name]).replace("digits", "`digits`").replace("cifar10", "`cifar10`")
            for name in names
        ]
    ]


def test_everything_that_is_not_built_is_named_in_the_readme() -> None:
    section = README.read_text().split("## Not built yet")[1].split("\n## ")[0]
    words = " ".join(section.split())
    told = [row.told.removeprefix("adaptive ").removeprefix("learning-rate ") for row in NOT_BUILT]
    assert [name for name in told if name and name not in words] == []
    assert set(re.findall(r"`(\w+)`", section)) >= NOT_BUILT_COMMANDS.keys()


@pytest.mark.parametrize(
    "family",
    [datasets, FITNESS, MUTATIONS, SELECTION, STRATEGIES, ENGINES, get_args(Allocation)],
    ids=["dataset", "fitness", "mutation", "selection", "strategy", "engine", "allocation"],
)
def test_every_registered_name_is_explained(family: Any) -> None:
    assert [name for name in family if f"`{name}`" not in CONCEPTS] == []


def test_every_schedule_and_strategy_stands_in_its_table_with_what_it_is() -> None:
    told = {row[0].strip("`"): row for row in rows(LEARNING_RATES)}
    assert told.keys() >= {*SCHEDULES, *ROWS}
    for name, row in ROWS.items():
        assert told[name][1].strip("`") == row
    for name in SCHEDULES:
        numbers = dataclasses.fields(SCHEDULES.get(name))  # type: ignore[arg-type]
        stated = re.findall(r"`(\w+)` ([\d.]+)", told[name][3])
        own = {field.name: getattr(SCHEDULES.get(name), field.name) for field in numbers}
        assert {key: float(value.rstrip(".")) for key, value in stated} == own


def test_the_weights_of_mutations_are_those_of_the_program() -> None:
    (row,) = [row for row in rows(CONCEPTS) if row[0] == "mutation"]
    names, weights = row[1].split("; drawn with the weights ")
    stated = zip(re.findall(r"`(\w+)`", names), map(float, weights.split(", ")), strict=True)
    assert dict(stated) == WEIGHTS


def test_the_event_kinds_are_those_of_the_program() -> None:
    section = RUN_DIRECTORY.split("| kind of event |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(KINDS)


def test_every_failure_is_named() -> None:
    assert [name for name in get_args(Failure) if f"`{name}`" not in CONCEPTS] == []


@pytest.mark.parametrize(
    "model",
    [
        *(Results, FinalBest, FrontEntry, GenerationSummary, SystemStats, FailureEntry, Ledger),
        *(DatasetFacts, PluginFile),
    ],
)
def test_every_field_of_the_results_file_is_named(model: type[BaseModel]) -> None:
    section = RUN_DIRECTORY.split("## The results file")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert set(model.model_fields) <= named


def test_the_tables_of_the_database_are_those_of_the_program(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        columns = {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            for (name,) in names
        }
    section = RUN_DIRECTORY.split("## run.db")[1].split("| kind of event |")[0]
    stated = {
        row[0].strip("`"): re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row[1]))
        for row in rows(section)
        if row[0].startswith("`")
    }
    assert stated == columns


def test_the_exit_codes_are_those_of_the_program() -> None:
    section = CONFIGURATION.split("## Exit codes")[1]
    stated = {row[1].strip("`"): int(row[0]) for row in rows(section) if row[0].isdecimal()}
    known = {name: value for name, value in vars(errors).items() if isinstance(value, int)}
    assert stated == known


def test_every_variable_is_named() -> None:
    assert [name for name in OTHER_VARIABLES if f"`{PREFIX}{name}`" not in CONFIGURATION] == []
