"""The two runs by which a newcomer judges: digits in a minute, real images with honest accuracy."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from structure_net import load_network
from structure_net.cli import main
from structure_net.datasets import load, open_test
from tests.networks.residual import logits

from .runs import results


def test_quick_on_digits(tmp_path: Path) -> None:
    run = tmp_path / "run"
    began = time.monotonic()
    assert main(["tournament", "--quick", "--quiet", "--out", str(run)]) == 0
    assert time.monotonic() - began < 90
    with closing(sqlite3.connect(run / "run.db")) as connection:
        query = "SELECT max(json_extract(result, '$.validation_accuracy')) FROM trials"
        best = connection.execute(query).fetchone()[0]
    assert best >= 0.93
    content = results(run)
    fitness = [
        one["fitness"] for entry in content["generations"] for one in entry["top_performers"]
    ]
    assert content["final_best"]["fitness"] == max(fitness)
    assert content["batch_size"] == 40  # min(256, 1,294 / 32)


def test_champion_file_gives_the_reported_accuracies(tmp_path: Path) -> None:
    """By plain numpy, from the file alone: no engine, no batches, no split of ours."""
    run = tmp_path / "run"
    options = ["--quick", "--quiet", "--tournament-size", "4", "--generations", "2"]
    assert main(["tournament", *options, "--out", str(run)]) == 0
    best = results(run)["final_best"]
    network, described = load_network(run / best["network_file"])
    test = open_test(load("digits"))
    mean, deviation = np.array(described.data.mean), np.array(described.data.deviation)
    inputs = np.asarray(test.images, dtype=np.float64).reshape(len(test.labels), -1)
    found = logits(network, (inputs / described.data.scale - mean) / deviation)
    assert len(network.values) == best["active_parameters"]
    assert np.mean(found.argmax(1) == test.labels) == pytest.approx(best["test_accuracy"], abs=1e-9)


@pytest.mark.slow
def test_quick_on_cifar10(tmp_path: Path, cifar10_folder: Path) -> None:
    run = tmp_path / "run"
    command = "--quick --dataset cifar10 --tournament-size 8 --generations 2 --epochs 5 --quiet"
    command += " --no-metrics"
    data = ["--data-dir", str(cifar10_folder), "--out", str(run)]
    assert main(["tournament", *command.split(), *data]) == 0
    assert results(run)["final_best"]["test_accuracy"] >= 0.45


def test_without_data_and_network_one_paragraph_says_how_to_provide_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.request

    def no_network(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setenv("STRUCTURE_NET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STRUCTURE_NET_DATA", raising=False)
    options = ["--quick", "--dataset", "cifar10", "--out", str(tmp_path / "run")]
    assert main(["tournament", *options]) == 2
    error = capsys.readouterr().err
    assert "--data-dir" in error
    assert len(error.strip().split("\n\n")) == 1
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()
