"""The page of results says what its files hold."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "results.md").read_text()
FOLDER = ROOT / "docs" / "results"


def stored(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


def test_the_recipe_s_row_is_that_of_its_file() -> None:
    known = stored("recipe")
    accuracies = known["test_accuracy"]
    assert len(accuracies) == len(set(known["retraining_seeds"])) >= 5
    mean, low, high = (100 * f(accuracies) for f in (fmean, min, max))
    assert f"**{mean:.1f} %** ({low:.1f} to {high:.1f})" in PAGE
    assert known["command"].split(" --no-metrics")[0] in PAGE.replace("\n", " ")
    assert known["commit"] in PAGE


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_file_of_results_is_named_and_says_how_it_came_about(path: Any) -> None:
    assert f"results/{path.name}" in PAGE
    known = json.loads(path.read_text())
    assert {"command", "commit", "machine"} <= known.keys()
