"""Nothing but the final report sees the test part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from structure_net.datasets import load, open_test

from .runs import dump, results, run

CHANGED = {"test_accuracy", "test_hash"}


def archive(path: Path, test_labels: np.ndarray | None = None) -> Path:
    """The embedded digits as a user's .npz, perhaps with other test labels."""
    dataset = load("digits")
    test = open_test(dataset)
    np.savez(
        path,
        x_train=np.asarray(dataset.images),
        y_train=np.asarray(dataset.labels),
        x_test=np.asarray(test.images),
        y_test=np.asarray(test.labels) if test_labels is None else test_labels,
    )
    return path


def test_noise_in_place_of_test_labels_changes_only_what_is_reported_of_the_test(
    tmp_path: Path,
) -> None:
    source = archive(tmp_path / "data.npz")
    honest = run(tmp_path / "honest", "--dataset", str(source))
    labels = np.asarray(open_test(load(str(source))).labels)
    noise = np.random.default_rng(0).permutation(labels)
    archive(source, noise)
    noisy = run(tmp_path / "noisy", "--dataset", str(source))

    differing = [
        (json.loads(one), json.loads(other))
        for one, other in zip(dump(honest), dump(noisy), strict=True)
        if one != other
    ]
    assert [one[0] for one, _ in differing] == ["ChampionEvaluated"]
    ((_, before), (_, after)) = differing[0]
    assert {name for name in before if before[name] != after[name]} == CHANGED
    first, second = results(honest)["final_best"], results(noisy)["final_best"]
    assert {name for name in first if first[name] != second[name]} == CHANGED
    assert first["test_accuracy"] > second["test_accuracy"]


def test_reading_the_test_part_during_the_search_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three generations are stored before the test part is opened, and that happens once."""
    import structure_net.training.evaluate as evaluate

    seen: list[int] = []

    def watched(dataset: object) -> object:
        seen.append(sum("GenerationFinished" in line for line in dump(tmp_path / "run")))
        return open_test(dataset)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate, "open_test", watched)
    run(tmp_path / "run", "--executor", "serial")
    assert seen == [3]
