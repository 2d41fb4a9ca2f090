"""Comparisons from end to end with planted outcomes: everything but the training is real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from structure_net.cli import main
from structure_net.schema import Trial
from structure_net.store import open_history
from structure_net.tournament.price import most_cost
from tests.studies.conftest import fresh_folder
from tests.studies.planted import OPTIONS, by_chance, plant, reachable_by_steps

SIZES = ["--tournament-size", "8", "--generations", "6", "--epochs", "20", "--mutation-rate", "1"]


def compare(out: str, *more: str) -> dict[str, Any]:
    assert main(["compare", "--quick", *OPTIONS, *SIZES, "--out", out, *more]) == 0
    read: dict[str, Any] = json.loads((Path(out) / "results.json").read_text())
    return read


def arms(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {arm["arm"]: arm for arm in results["arms"]}


@pytest.fixture(scope="module")
def planted() -> Iterator[tuple[dict[str, Any], list[Trial], Path]]:
    """Ten seeds with an optimum that steps reach and draws do not."""
    with fresh_folder() as folder:
        with pytest.MonkeyPatch.context() as patch:
            trained = plant(patch, reachable_by_steps)
            results = compare("c", "--seeds", "0-9")
        yield results, trained, folder / "c"


def test_a_planted_effect_is_found(planted: Any) -> None:
    told = arms(planted[0])
    assert list(told) == ["tournament", "random", "random-long", "local", "average"]
    random = told["random"]
    assert random["against"]["difference"] > 0.01
    assert random["p_holm"] < 0.05
    assert random["against"]["a12"] > 0.8
    assert random["against"]["low"] > 0
    assert random["verdict"] == "worse than the reference"
    assert told["average"]["outcome"]["mean"] < random["outcome"]["mean"]
    assert told["tournament"]["against"] is None


def test_ledgers_are_equal_within_one_percent(planted: Any) -> None:
    """Counted again from the events of every run, not from the study's own figures."""
    results, _, directory = planted
    for seed in range(10):
        totals = {}
        for arm in ("tournament", "random", "random-long", "local"):
            history = open_history(directory / arm / f"seed-{seed}")
            assert history.started is not None
            totals[arm] = sum(
                most_cost(
                    history.started.dataset,
                    history.started.batch_size,
                    None,
                    one.genome,
                    one.trial.epochs,
                )
                for one in history.results.values()
            )
            assert totals[arm] == sum(one.cost for one in history.results.values())
        for arm in ("random", "random-long", "local"):
            assert 0.99 <= totals[arm] / totals["tournament"] <= 1.01
    assert all(arm["equal_ledgers"] for arm in results["arms"])


def test_champions_are_trained_again_on_seeds_the_search_never_had(planted: Any) -> None:
    results, trained, directory = planted
    for finding in results["findings"]:
        if finding["champion"] is None:
            continue
        again = open_history(directory / finding["arm"] / f"seed-{finding['seed']}-again")
        (result,) = again.results.values()
        assert result.genome.id == finding["champion"]["genome"]
        search = open_history(directory / finding["arm"] / f"seed-{finding['seed']}")
        assert search.finished is not None
        assert result.trial.epochs == search.results[search.finished.champion].trial.epochs
        assert result.trial.seed not in {one.trial.seed for one in search.results.values()}
        assert again.config.config.seed != search.config.config.seed
        assert again.champion is None  # the test part stays sealed
        assert finding["champion"]["again_fitness"] == [reachable_by_steps(result.trial)]
    assert len(trained) > 10 * 3 * 15


def test_finished_runs_are_read_and_missing_seeds_are_run(
    planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _, directory = planted
    trained = plant(monkeypatch, reachable_by_steps)
    again = compare(str(directory), "--seeds", "0-9")
    assert trained == []
    assert again == before


def test_a_lost_run_alone_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = plant(monkeypatch, reachable_by_steps)
    before = compare("c", "--seeds", "3,4")
    full = len(trained)
    interrupted = stop_after(monkeypatch, full // 2)
    assert main(["compare", "--quick", *OPTIONS, *SIZES, "--out", "d", "--seeds", "3,4"]) == 130
    assert len(interrupted) == full // 2 + 1
    rest = plant(monkeypatch, reachable_by_steps)
    after = compare("d", "--seeds", "3,4")
    assert len(rest) <= full - full // 2 + 12  # what was not yet durable is trained once more
    for name in ("arms", "findings", "curves"):
        assert after[name] == before[name]


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> list[Trial]:
    trained: list[Trial] = []

    def score(trial: Trial) -> float:
        trained.append(trial)
        if len(trained) > count:
            raise KeyboardInterrupt
        return reachable_by_steps(trial)

    plant(monkeypatch, score)
    return trained


def test_no_effect_is_not_found_where_chance_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Champions are lucky in the search; trained again they are like all others."""
    plant(monkeypatch, by_chance)
    told = arms(compare("c", "--seeds", "0-9", "--retrain", "3", "--generations", "2"))
    assert all(told[arm]["p_holm"] > 0.05 for arm in ("random", "local", "average"))
    assert told["tournament"]["searched"]["mean"] > 0.85
    assert 0.3 < told["tournament"]["outcome"]["mean"] < 0.7


def test_below_ten_seeds_no_p_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, reachable_by_steps)
    results = compare("c", "--seeds", "0-2", "--generations", "2")
    assert all(arm["p_holm"] is None for arm in results["arms"])
    assert all((arm["against"] or {"p": None})["p"] is None for arm in results["arms"])
    printed = capsys.readouterr().out
    assert "3 seeds: no p-value is given below 10." in printed


def test_another_configuration_in_the_same_directory_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, reachable_by_steps)
    compare("c", "--seeds", "0", "--generations", "2")
    other = ["--seeds", "0", "--generations", "2", "--weight-decay", "0.5"]
    assert main(["compare", "--quick", *OPTIONS, *SIZES, "--out", "c", *other]) == 2
    assert "weight_decay = 0.1, and this study asks for 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seed", "3"], "give --seeds"),
        (["--search", "random"], "search is what a comparison varies itself"),
        (["--max-cost", "5"], "max_cost is what a comparison varies itself"),
        (["--seeds", "9-3"], "Seeds cannot be '9-3'"),
        (["--seeds", "x"], "Seeds cannot be 'x'"),
        (["--retrain", "-1"], "retrain"),
        (["--epochs", "0"], "epochs_per_generation cannot be 0"),
    ],
)
def test_refusals(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--quick", *words]) == 2
    assert told in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_dry_run_tells_cost_and_time_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    words = ["--limit-train", "100", "--tournament-size", "4", "--generations", "2"]
    words += ["--engine", "csr"]
    assert main(["compare", "--quick", "--dry-run", "--epochs", "2", *words]) == 0
    told = capsys.readouterr().err
    assert "40 runs, about 320 trainings" in told  # 4 arms x 10 seeds x (4 + 3 + 1)
    assert "FLOP" in told
    assert list(own_folder.iterdir()) == []


def test_real_trainings_run_to_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--limit-train", "100", "--tournament-size", "4", "--generations", "2"]
    words += ["--epochs", "2", "--seeds", "5", "--executor", "serial", "--json", "--engine", "csr"]
    assert main(["compare", "--quick", *words]) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads(Path("runs/compare_quick/results.json").read_text())
    assert printed == stored
    assert Path("runs/compare_quick/report.html").is_file()
    history = open_history(Path("runs/compare_quick/local/seed-5"))
    assert history.started is not None
    facts, batch = history.started.dataset, history.started.batch_size
    for result in history.results.values():  # what is planned is what a training costs
        assert result.cost == most_cost(facts, batch, None, result.genome, result.trial.epochs)
