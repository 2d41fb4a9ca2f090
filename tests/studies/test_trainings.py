"""Studies of single networks: one start and batches for all arms, ledgers met, words earned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from structure_net.cli import main
from structure_net.genome import connection_count
from structure_net.schema import Given, TrialFinished
from structure_net.store import open_history, read_events
from structure_net.studies import (
    Ground,
    GrowthStudy,
    RateStudy,
    Training,
    growth_page,
    rates_page,
)
from structure_net.studies.contrasts import accuracies, contrasts, smallest_p
from structure_net.studies.rate_study import best_rates, placebo, rates_results
from tests.reporting import stream
from tests.reporting.pages import read
from tests.studies.conftest import fresh_folder

SMALL = ["--quick", "--executor", "serial", "--device", "cpu", "--engine", "csr"]
LEAST = [*SMALL, "--limit-train", "400", "--seeds", "0,1"]
GROWTH = [
    *(
        "study",
        "growth",
        *LEAST,
        "--epochs",
        "4",
        "--growth-frequency",
        "1",
        "--growth-rules",
        "predicted_gain",
    ),
    *("--densities", "0.15", "--strategies", "CONSTANT", "--out", "g"),
]
RATES = [
    *("study", "learning-rates", *LEAST, "--epochs", "2", "--densities", "0.2,0.02,0.005"),
    *("--strategies", "BASIC", "--rates", "0.002,0.008", "--tuning-seeds", "7", "--out", "r"),
]


def results(folder: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((Path(folder) / "results.json").read_text())
    return told


@pytest.fixture(scope="module")
def grown() -> Iterator[dict[str, Any]]:
    """The study of growth on two seeds, and what its runs stored."""
    with fresh_folder():
        assert main(GROWTH) == 0
        trials = {seed: open_history(Path(f"g/seed-{seed}")).results for seed in (0, 1)}
        yield {"results": results("g"), "trials": trials}


def by_arm(told: dict[str, Any], seed: int) -> dict[str, dict[str, Any]]:
    return {one["arm"]: one for one in told["trainings"] if one["seed"] == seed}


def test_each_rule_meets_controls_of_its_own_at_its_own_ledger(grown: dict[str, Any]) -> None:
    told = grown["results"]
    for seed in (0, 1):
        own = by_arm(told, seed)
        grew = own["predicted_gain"]
        assert grew["growth_events"] > 0
        for name in ("static", "set", "rigl"):
            equal = own[f"{name}_predicted_gain"]
            assert equal["cost"] == pytest.approx(grew["cost"], rel=0.01)
            assert equal["connections"] > own["none"]["connections"]
        assert own["final_size_predicted_gain"]["connections"] == grew["connections"]
        assert own["set"]["connections"] == own["none"]["connections"]
    (table,) = told["tables"]
    rows = {one["second"]: one for one in table["contrasts"]}
    equal = {name for name, one in rows.items() if one["equal_ledgers"]}
    assert {"static_predicted_gain", "set_predicted_gain", "rigl_predicted_gain"} <= equal
    assert "none" not in equal
    mean = [by_arm(told, seed) for seed in (0, 1)]
    wanted = sum(one["predicted_gain"]["accuracy"] - one["none"]["accuracy"] for one in mean) / 2
    assert rows["none"]["pairs"]["difference"] == pytest.approx(wanted)
    assert rows["none"]["verdict"] == "not tested: 2 seeds, at least 10 are wanted"


def test_arms_share_seed_genome_and_generation(grown: dict[str, Any]) -> None:
    """So they share weights and batches: both are drawn from seed, genome and generation alone."""
    for trials in grown["trials"].values():
        assert len({one.trial.seed for one in trials.values()}) == 1
        assert {one.trial.generation for one in trials.values()} == {0}
        first = [one.trial.genome for one in trials.values() if one.number < 7]
        assert len({one.model_copy(update={"growth_rule": "none"}).id for one in first}) == 1
    seeds = {one.trial.seed for trials in grown["trials"].values() for one in trials.values()}
    assert len(seeds) == 2


def test_the_page_of_growth_fetches_nothing_and_has_every_control(grown: dict[str, Any]) -> None:
    page = growth_page(grown["results"])
    assert read(page).fetched == []
    assert all(one["second"] in page for one in grown["results"]["tables"][0]["contrasts"])


def test_rates_are_tuned_compared_shuffled_and_taken_up_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(RATES) == 0
    told, printed = results("r"), capsys.readouterr()
    # 0.02 and 0.005 are the same network of 64 inputs: the one with its fewest connections.
    assert [one["density"] for one in told["densities"]] == [0.2, 0.02]
    assert told["anchor"] == 0.02
    assert "BASIC against its placebo: not tested, too few seeds" in printed.out
    assert {one["second"] for one in told["placebo"]} == {"BASIC, shuffled"}
    grid = [one for one in told["trainings"] if one["seed"] == 7]
    assert len(grid) == 3 * 2 * 2
    chosen = {(one["arm"], one["density"]): one["best"] for one in told["grid"]}
    for arm in ("BASIC", "COSINE", "CONSTANT"):
        for density in (0.2, 0.02):
            best = max(
                (one for one in grid if (one["arm"], one["density"]) == (arm, density)),
                key=lambda one: (one["accuracy"], -one["loss"]),
            )
            assert chosen[arm, density] == best["rate"]
    controls = {
        name: open_history(Path(f"r/{name}")).config.config.learning_rate_control
        for name in ("tuning/seed-7", "seed-0", "seed-0-shuffled")
    }
    assert list(controls.values()) == ["none", "none", "shuffled"]
    page = rates_page(told)
    assert read(page).fetched == []
    before = sum(isinstance(one, TrialFinished) for _, one in read_events(Path("r/seed-0")))
    assert main(RATES) == 0  # read, not trained
    after = sum(isinstance(one, TrialFinished) for _, one in read_events(Path("r/seed-0")))
    assert before == after
    assert results("r")["trainings"] == told["trainings"]
    capsys.readouterr()
    other = ["0.003,0.008" if word == "0.002,0.008" else word for word in RATES]
    assert main(other) == 2
    assert "begun with other options" in capsys.readouterr().err


def planted(arm: str, seed: int, accuracy: float | None, rate: float = 0.002) -> Training:
    return Training(arm, 0.05, seed, rate, accuracy, 1.0, 1, 1)


def test_a_failed_rate_is_not_chosen_and_ties_go_by_loss() -> None:
    own = [planted("A", 0, 0.9, 0.01), planted("A", 1, None, 0.01)]
    own += [planted("A", seed, 0.8, rate) for seed in (0, 1) for rate in (0.001, 0.002)]
    own.append(Training("A", 0.05, 2, 0.002, 0.8, 0.5, 1, 1))
    assert best_rates(own) == {("A", 0.05): 0.002}


def test_words_follow_planted_differences() -> None:
    """BASIC beats its placebo on twelve seeds, ULTIMATE equals it; and one rate is as good."""
    given = Given({"preset": "quick", "learning_rate_strategies": ("BASIC", "ULTIMATE")}, {})
    ground = Ground("learning-rates", given, Path("r"), RateStudy.own)
    study = RateStudy(ground, tuple(range(12)), (100,), (0.05,), (0.002, 0.004))
    tuning = [
        planted(arm, 100, 0.5 + 100 * rate, rate) for arm in study.arms for rate in study.rates
    ]
    found = [planted(arm, s, 0.5 + 0.01 * s, 0.004) for arm in study.arms for s in range(12)]
    found += [planted(placebo("ULTIMATE"), s, 0.5 + 0.01 * (11 - s), 0.004) for s in range(12)]
    found += [planted(placebo("BASIC"), s, 0.4 + 0.011 * s, 0.004) for s in range(12)]
    told = rates_results(study, tuning, found, stream.tournament_started().dataset)
    assert told["sentences"] == [
        "BASIC beats its placebo at every density",
        "ULTIMATE does not beat its placebo: where its rates lie is decoration",
    ]
    assert {one["best"] for one in told["transfer"]} == {0.004}
    assert {one["verdict"] for one in told["transfer"]} == {"the same rate"}
    assert {one["verdict"] for one in told["cosine"]} == {"no difference shown"}


def test_holm_and_what_seeds_allow() -> None:
    own = [planted(arm, s, 0.5 + 0.01 * s * (arm == "A")) for arm in "ABC" for s in range(1, 11)]
    found = contrasts(accuracies(own), [("A", "B", 0.05), ("A", "C", 0.05), ("A", "D", 0.05)])
    assert [one.verdict for one in found] == ["better", "better", "no seed has both"]
    assert found[0].p_holm == pytest.approx(smallest_p(10, 2)) == pytest.approx(4 / 2**10)


def test_the_network_of_a_ledger_has_so_many_connections_or_all() -> None:
    ground = Ground("growth", Given({"preset": "quick"}, {}), Path("g"), GrowthStudy.own)
    start = ground.genome(0.1, 0.003, "COSINE")
    assert connection_count(ground.sized(start, 1001, "set")) == 1001
    assert ground.sized(start, 1001, "set").growth_rule == "set"
    most = sum(sources * units for sources, units in start.shapes)
    assert connection_count(ground.sized(start, 10**6, "none")) == most


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["growth", "--no-growth"], "leave out --no-growth"),
        (["growth", "--growth-rules", "none,set"], "names no other"),
        (["growth", "--strategies", "COSINE,BASIC"], "one learning-rate strategy"),
        (["growth", "--rates", "0.1,0.2"], "one base learning rate"),
        (["growth", "--densities", "0"], "above 0, at most 1"),
        (["growth", "--search", "random"], "about a search"),
        (["growth", "--seed", "3"], "give --seeds"),
        (["growth", "--confirm"], "other studies' own options none"),
        (["learning-rates", "--tuning-seeds", "9"], "used both to tune and to compare"),
        (["learning-rates", "--rates", "0.1"], "two base rates or more"),
        (["noise", "--rates", "0.1"], "are for `study growth`"),
    ],
)
def test_what_cannot_be_asked_is_told(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *words, "--dataset", "digits"]) == 2
    assert told in capsys.readouterr().err
    assert not Path("runs").exists()
