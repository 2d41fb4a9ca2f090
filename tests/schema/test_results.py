"""The results file against its published JSON Schema, by another validator than pydantic."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from structure_net.reporting import results_of
from structure_net.schema import Results, resolve, results_schema
from structure_net.store import replay
from tests.reporting import stream

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "docs" / "results.schema.json"


def results(events: int | None = None) -> dict[str, Any]:
    """The file of the scripted run after so many events."""
    history = replay(stream.whole_run()[:events])
    history.stored_config = resolve(preset="quick")
    return json.loads(results_of(history).model_dump_json())


def validator() -> jsonschema.Draft202012Validator:
    schema = results_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_published_schema_is_the_present_one() -> None:
    published = json.loads(PUBLISHED.read_text())
    present = json.loads(json.dumps(results_schema()))
    assert published == present, "write it again as the docstring of results_schema says"


def test_the_file_is_valid_after_every_event_of_a_run() -> None:
    for events in range(1, len(stream.whole_run()) + 1):
        validator().validate(results(events))
    assert results()["state"] == "finished"
    assert results(-1)["state"] == "running"


def test_the_file_holds_what_the_scripted_run_was() -> None:
    told = results()
    assert [row["generation"] for row in told["generations"]] == [0, 1]
    assert [row["best_fitness"] for row in told["generations"]] == [0.8123, 0.9]
    assert told["final_best"]["id"] == 0
    assert told["final_best"]["test_accuracy"] == 0.943
    assert told["system_stats"]["total_experiments"] == 7
    assert told["final_best"]["retraining"] == [
        {"trial": 7, "seed": 99, "validation_accuracy": 0.94, "test_accuracy": 0.923}
    ]
    (width,) = told["operators"]  # 3 proposed in each of the two generations
    assert (width["name"], width["proposed"], width["survived"]) == ("width", 6, 2)
    assert [row["stopped"] for row in told["generations"]] == [0, 1]
    assert [row["trial"] for row in told["failures"]] == [3]
    assert told["ledger"] == {
        "unit": "FLOP",
        "total": 3000,
        "by_generation": [1000, 1000],
        "retraining": 1000,
    }
    assert len(told["success_criteria"]) == 6


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["state"], "stopped"),
        (["generations", 0, "best_fitness"], "high"),
        (["generations", 0, "survivor_ids"], [1.5]),
        (["failures", 0, "failure"], "bored"),
        (["ledger", "unit"], "seconds"),
        (["success_criteria", 0, "state"], "nearly"),
        (["final_best", "genome", "classes"], 1),
        (["final_best", "genome", "hidden", 0, "density"], 0),
        (["system_stats", "gpu_utilization"], {"0": "busy"}),
        (["surprise"], 1),
        (["final_best", "surprise"], 1),
    ],
)
def test_what_is_wrong_is_refused_by_schema_and_model_alike(path: list[Any], value: Any) -> None:
    told = copy.deepcopy(results())
    target = told
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(told)
    with pytest.raises(ValueError, match=str(path[-1])):
        Results.model_validate_json(json.dumps(told))


@pytest.mark.parametrize("name", sorted(Results.model_fields))
def test_every_part_is_required(name: str) -> None:
    told = results()
    del told[name]
    with pytest.raises(jsonschema.ValidationError, match=name):
        validator().validate(told)


def test_the_file_gives_the_results_back() -> None:
    told = results()
    assert json.loads(Results.model_validate(told).model_dump_json()) == told
