"""The one look at the test part: right, and from one place only."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from structure_net.datasets import load, open_test, split
from structure_net.engine import ENGINES
from structure_net.errors import ModelFileError
from structure_net.networks import load_network
from structure_net.schema import TrialFinished, TrialResult
from structure_net.training import evaluate_champion
from tests.networks.reference import logits, matrices
from tests.training.cohorts import RUN_SEED, VALIDATION, classroom, trained, trials

PACKAGE = Path(__file__).resolve().parents[2] / "structure_net"


def champion(folder: Path, engine: str = "csr") -> TrialResult:
    finished = trained(trials()[1:2], folder, engine)[-1]
    assert isinstance(finished, TrialFinished)
    return finished.result


@pytest.mark.parametrize("engine", ENGINES)
def test_the_champions_test_accuracy_is_that_of_its_file(tmp_path: Path, engine: str) -> None:
    dataset = load("digits")
    result = champion(tmp_path, engine)
    path = tmp_path / "1.safetensors"
    event = evaluate_champion(result, path, dataset, classroom(tmp_path))
    known = dataset.images[split(dataset, VALIDATION, RUN_SEED).train] / 16.0
    test = open_test(dataset)
    inputs = ((test.images / 16.0 - known.mean()) / known.std()).reshape(len(test.labels), -1)
    network, _ = load_network(path)
    output = logits(matrices(network), network.genome.activation, inputs)
    assert event.test_accuracy == (output.argmax(1) == test.labels).mean() > 0.3
    assert event.test_samples == len(test.labels) == 359
    assert event.test_hash == test.test_hash
    assert event.validation_accuracy == result.validation_accuracy
    assert (event.generation, event.trial) == (2, 1)


def test_retrainings_are_measured_by_their_own_files(tmp_path: Path) -> None:
    results = [
        event.result for event in trained(trials(), tmp_path) if isinstance(event, TrialFinished)
    ]
    room, dataset = classroom(tmp_path), load("digits")
    path = tmp_path / "0.safetensors"
    event = evaluate_champion(results[0], path, dataset, room, results[1:])
    alone = evaluate_champion(results[0], path, dataset, room)
    assert event.model_copy(update={"retraining": ()}) == alone
    for told, result in zip(event.retraining, results[1:], strict=True):
        own = tmp_path / f"{result.number}.safetensors"
        again = evaluate_champion(result, own, dataset, room)
        assert told.test_accuracy == again.test_accuracy
        assert (told.trial, told.seed) == (result.number, result.trial.seed)
        assert told.validation_accuracy == result.validation_accuracy


def test_the_last_partial_batch_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, room = champion(tmp_path), classroom(tmp_path)
    path = tmp_path / "1.safetensors"
    whole = evaluate_champion(result, path, load("digits"), room)
    monkeypatch.setattr("structure_net.engine.batches.EVALUATION_BATCH", 100)
    assert evaluate_champion(result, path, load("digits"), room) == whole


def test_a_damaged_champion_is_refused(tmp_path: Path) -> None:
    result = champion(tmp_path)
    path = tmp_path / "1.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        evaluate_champion(result, path, load("digits"), classroom(tmp_path))


def test_training_never_opens_the_test_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the test part unreadable, training gives what it gave with it."""
    dataset = load("digits")
    test = open_test(dataset)
    expected = champion(tmp_path).network_sha256
    stored = np.load

    def refusing(path: object, *others: object, **options: object) -> object:
        assert "test" not in Path(str(path)).parts[-2:], path
        return stored(path, *others, **options)

    monkeypatch.setattr(np, "load", refusing)
    assert champion(tmp_path).network_sha256 == expected
    with pytest.raises(AssertionError):
        open_test(dataset)
    assert len(test.labels) == 359


def names_in(path: Path) -> set[str]:
    """Every name, attribute and imported name of a source file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                found |= {alias.name for alias in names}
                if isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.rpartition(".")[2])
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                found.add(name)
    return found


def test_nothing_else_opens_the_test_part() -> None:
    home = PACKAGE / "datasets"
    openers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(home) and {"open_test", "sealed"} & names_in(path)
    }
    assert openers == {"training/evaluate.py"}
    within = {path.name for path in home.glob("*.py") if "open_test" in names_in(path)}
    assert within <= {"__init__.py", "sealed.py"}
