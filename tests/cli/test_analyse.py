"""`analyse`: numbers are those that the trial was measured with; wrong files and data are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from structure_net.analysis import find_saved
from structure_net.analysis.analysis import BLOCKS, block_densities
from structure_net.analysis.saved import standardised
from structure_net.cli import main
from structure_net.datasets import split
from structure_net.engine import Batches, BatchPlan
from structure_net.metrics import METRICS, chosen
from structure_net.networks import load_network, save_network
from structure_net.store import open_history
from tests.end_to_end.runs import results, run
from tests.reporting.pages import read


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 1,000 samples: enough of them for every metric to have a number."""
    folder = tmp_path_factory.mktemp("analysed")
    return run(folder / "run", "--executor", "serial", "--limit-train", "1000", "--seed", "5")


@pytest.fixture
def champion(finished: Path) -> Path:
    return finished / results(finished)["final_best"]["network_file"]


def analysed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["analyse", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert main(["analyse", *map(str, arguments)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def close(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return bool(one == other)
    return bool(np.isclose(one, other, rtol=1e-3, atol=1e-5))


def test_the_numbers_are_those_of_the_trial(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, best = analysed(capsys, finished), results(finished)["final_best"]
    assert found["architecture"] == best["architecture"]
    assert found["accuracies"]["validation.accuracy"] == best["validation_accuracy"]
    assert list(found["metrics"]) == list(METRICS)
    for name, stored in best["metrics"].items():
        own = found["metrics"][name]
        pairs = zip(
            [own["total"], *own["layers"]], [stored["total"], *stored["layers"]], strict=True
        )
        assert all(close(one, other) for one, other in pairs), name
        assert own["unit"] == METRICS.get(name).unit
        assert own["group"] in ("information", "activity", "sensitivity", "graph")


def test_a_file_either_of_its_two_and_the_run_are_one_network(
    finished: Path, champion: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = (finished, finished / "run.db", champion, champion.with_suffix(".json"))
    found = [analysed(capsys, way, "--level", "light") for way in ways]
    for one in found:
        del one["seconds"]
    assert all(one == found[0] for one in found)
    assert list(found[0]["metrics"]) == [one.name for one in chosen("light")]


def test_the_inputs_are_those_of_training(champion: Path) -> None:
    saved = find_saved(champion)
    dataset = saved.dataset(None, None)
    inputs, labels = saved.samples(dataset)
    training = saved.description.training
    parts = split(dataset, training["validation_fraction"], training["run_seed"])
    batches = Batches(dataset, parts, BatchPlan(0, 1, "none"), "cpu")
    rows = parts.train
    assert torch.equal(inputs, batches.standardise(np.array(dataset.images[rows])))
    assert labels.tolist() == dataset.labels[rows].tolist()
    flat = np.array(dataset.images[rows]).reshape(len(rows), -1).astype(float)
    data = saved.description.data
    by_hand = (flat / data.scale - data.mean[0]) / data.deviation[0]
    assert np.allclose(
        standardised(np.array(dataset.images[rows]), data).numpy(), by_hand, atol=1e-5
    )


def test_the_table_has_every_metric_with_unit_and_reason(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["analyse", str(finished)]) == 0
    shown = capsys.readouterr().out
    places = [
        shown.index(f"\n{name} ") for name in ("information", "activity", "sensitivity", "graph")
    ]
    assert places == sorted(places)
    for name in METRICS:
        assert name in shown
    assert "undetermined: only units with tanh" in " ".join(shown.split())


def test_the_page_has_tables_and_pictures_and_fetches_nothing(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.html"
    assert main(["analyse", str(finished), "--html", str(file)]) == 0
    found, page = analysed(capsys, finished), read(file.read_text())
    assert page.fetched == []
    rows = {
        row[0].text: row
        for group in ("information", "activity", "sensitivity", "graph")
        for row in page.table(f"metrics-{group}")
    }
    assert rows.keys() == set(METRICS)
    for name, row in rows.items():
        assert row[1].value == found["metrics"][name]["total"]
    hidden = len(found["architecture"]) - 2
    labels = [one.attributes.get("aria-label", "") for one in page.page.all("svg")]
    for words, count in (
        ("by the share of samples on which they fire", hidden),
        ("Density of the blocks", hidden + 1),
        ("Label information of each layer", 1),
        ("Layer information of each layer", 1),
        ("Largest share of all paths", 1),
    ):
        assert sum(words in label for label in labels) == count, words
    assert "written" in refused(capsys, finished, "--html", tmp_path / "none" / "page.html")


def test_blocks_hold_every_connection(champion: Path) -> None:
    network, _ = load_network(champion)
    for index in range(len(network.layers)):
        lists = network.layer(index).connections
        densities = block_densities(lists)
        assert densities.shape == (min(BLOCKS, lists.units), min(BLOCKS, lists.sources))
        matrix = np.zeros((lists.units, lists.sources))
        matrix[lists.rows, lists.columns] = 1.0
        down = np.arange(lists.units) * densities.shape[0] // lists.units
        across = np.arange(lists.sources) * densities.shape[1] // lists.sources
        for row in range(densities.shape[0]):
            for column in range(densities.shape[1]):
                block = matrix[np.ix_(down == row, across == column)]
                assert densities[row, column] == pytest.approx(block.mean())


def test_what_is_no_network_is_told(
    finished: Path, champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("nothing")
    assert "is no saved network" in refused(capsys, text)
    assert "cannot be read" in refused(capsys, tmp_path / "gone.safetensors")
    assert "holds no run" in refused(capsys, tmp_path)
    for suffix in (".safetensors", ".json"):
        shutil.copy(champion.with_suffix(suffix), tmp_path / f"bent{suffix}")
    (tmp_path / "bent.safetensors").write_bytes(b"no tensors")
    assert "is damaged" in refused(capsys, tmp_path / "bent.safetensors")


def test_absent_and_other_data_are_told(
    champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, champion, "--dataset", str(tmp_path / "away.npz"))
    assert "was trained on 'digits'" in told
    assert "--data-dir" in told
    told = refused(capsys, champion, "--dataset", "synthetic-200")
    assert "was trained on digits with hash" in told


def test_a_network_without_a_run_is_looked_at_by_what_its_file_says(
    finished: Path, champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, about = load_network(champion)
    kept = {"data": about.data, "metrics": {}, "versions": {}}
    alone = tmp_path / "alone.safetensors"
    save_network(network, alone, training=about.training, lineage=about.lineage, **kept)
    assert find_saved(alone).config is None
    own, same = analysed(capsys, alone), analysed(capsys, champion)
    assert own["metrics"] == same["metrics"]
    bare = tmp_path / "bare.safetensors"
    save_network(network, bare, training={}, lineage={}, **kept)
    assert analysed(capsys, bare, "--level", "light")["samples"] == len(
        find_saved(bare).dataset(None, None)
    )
    assert open_history(finished).finished is not None
