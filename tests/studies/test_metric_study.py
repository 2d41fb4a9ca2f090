"""The study of metrics: planted relations are found, chance is not, and figures are scipy's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from structure_net.cli import main
from structure_net.genome import LayerGene
from structure_net.metrics import METRICS
from structure_net.schema import MetricFacts, Trial, TrialResult
from structure_net.seeding import derive
from structure_net.studies import Correlation, correlations, metrics_page
from structure_net.studies.statistics import (
    _ranks_of_resamples,
    partial_spearman,
    spearman,
    spearman_interval,
    spearman_p,
)
from tests.reporting import stream
from tests.reporting.pages import read

COUNT = 120


def result(number: int, accuracy: float, connections: int) -> TrialResult:
    genome = stream.GENOME.model_copy(
        update={"hidden": (LayerGene(width=8 + number, density=1.0, innovation="a"),)}
    )
    return stream.trial_finished(number).result.model_copy(
        update={
            "trial": Trial(number=number, generation=0, genome=genome, seed=number, epochs=2),
            "validation_accuracy": accuracy,
            "connections": connections,
        }
    )


def declared(better: str | None) -> MetricFacts:
    return MetricFacts.model_validate(
        {"group": "graph", "unit": "x", "low": 0, "high": None, "better": better, "meaning": "M."}
    )


@pytest.fixture(scope="module")
def planted() -> dict[str, Correlation]:
    draw = np.random.default_rng(4)
    good, size = draw.random(COUNT), draw.integers(100, 1000, COUNT)
    results = {n: result(n, float(good[n]), int(size[n])) for n in range(COUNT)}
    columns = {
        "goes_with_it": good + 0.3 * draw.standard_normal(COUNT),
        "goes_against": np.exp(-3 * good) + 0.05 * draw.standard_normal(COUNT),
        "always_one": np.ones(COUNT),
        **{f"chance_{place}": draw.standard_normal(COUNT) for place in range(58)},
    }
    values = {name: {n: float(own[n]) for n in range(COUNT)} for name, own in columns.items()} | {
        "rarely_there": {n: float(good[n]) for n in range(9)}
    }
    facts = {"goes_with_it": declared("higher"), "goes_against": declared("higher")}
    found = correlations(values, results, facts)
    rhos = [abs(one.rho) for one in found if one.rho is not None]
    assert rhos == sorted(rhos, reverse=True)
    return {one.metric: one for one in found}


def test_planted_relations_are_found_and_chance_is_not(planted: dict[str, Correlation]) -> None:
    assert planted["goes_with_it"].verdict == "higher in better networks"
    against = planted["goes_against"]
    assert against.verdict == "lower in better networks, against what it declares"
    assert against.high is not None
    assert against.high < 0
    chance = [one for name, one in planted.items() if name.startswith("chance")]
    assert {one.verdict for one in chance} == {"no relation shown"}
    assert any(one.p is not None and one.p < 0.05 for one in chance)  # what Holm is there for


def test_what_has_no_correlation_says_why(planted: dict[str, Correlation]) -> None:
    assert planted["always_one"].verdict == "the same in all networks"
    assert planted["rarely_there"].verdict == "9 networks have a number; 10 are wanted"
    assert planted["rarely_there"].rho is planted["always_one"].p is None


def test_a_relation_by_size_alone_vanishes_at_equal_size() -> None:
    draw = np.random.default_rng(5)
    size = draw.standard_normal(2000)
    one, other = (size + 0.3 * draw.standard_normal(2000) for _ in range(2))
    assert spearman(one, other) > 0.8
    partial = partial_spearman(one, other, size)
    assert partial is not None
    assert abs(partial) < 0.07  # three standard errors
    assert partial_spearman(one, other, np.ones(2000)) is None
    assert partial_spearman(one, other, one) is None


@pytest.mark.parametrize("ties", [False, True])
def test_coefficient_and_p_are_those_of_scipy(ties: bool) -> None:
    draw = np.random.default_rng(6)
    one = draw.standard_normal(50)
    other = 0.3 * one + draw.standard_normal(50)
    if ties:
        one, other = one.round(), other.round()
    rho, theirs = spearman(one, other), stats.spearmanr(one, other)
    assert rho == pytest.approx(theirs.statistic)
    assert spearman_p(rho, 50) == pytest.approx(theirs.pvalue)
    assert spearman_p(1.0, 50) == 0.0


def test_the_interval_is_that_of_resamples_one_by_one() -> None:
    """By scipy's ranks, over the same draw, with ties."""
    draw = np.random.default_rng(8)
    one = draw.integers(0, 6, 30).astype(float)
    other = one + draw.integers(0, 4, 30)
    places = derive(0, "bootstrap of correlations", "here", 30).integers(30, size=(2000, 30))
    found = [stats.spearmanr(one[row], other[row]).statistic for row in places[:200]]
    left, right = (_ranks_of_resamples(values, places[:200]) for values in (one, other))
    own = (left * right).sum(1) / np.sqrt((left**2).sum(1) * (right**2).sum(1))
    assert np.allclose(own, found)
    low, high = spearman_interval(one, other, "here")
    assert low < spearman(one, other) < high


def test_the_interval_covers_the_truth() -> None:
    """Of pairs with correlation 0.5, whose rank correlation is 6/pi asin(0.25) = 0.483."""
    draw, inside = np.random.default_rng(7), 0
    for place in range(60):
        one = draw.standard_normal(100)
        other = 0.5 * one + np.sqrt(0.75) * draw.standard_normal(100)
        low, high = spearman_interval(one, other, f"cover {place}")
        inside += low <= 0.4826 <= high
    assert inside >= 51  # of 60 at 95 %: fewer have a probability below 0.3 %


SMALL = ["--quick", "--dataset", "digits", "--limit-train", "200", "--epochs", "4", "--workers"]


def test_a_whole_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = ["study", "metrics", *SMALL, "1", "--networks", "10", "--out", str(tmp_path / "s")]
    assert main(own) == 0
    told = capsys.readouterr().out
    assert "10 random networks on digits" in told
    results = json.loads((tmp_path / "s" / "results.json").read_text())
    assert {one["metric"] for one in results["correlations"]} == set(METRICS)
    assert results["networks"] == 10
    page = read(metrics_page(results))
    assert page.fetched == []
    assert len(page.table("correlations")) == len(results["correlations"])
    # The same run, read again: light metrics of an earlier epoch.
    assert main([*own, "--at-epoch", "2", "--json"]) == 0
    early = json.loads(capsys.readouterr().out)
    light = {name for name in METRICS if METRICS.get(name).level == "light"}
    assert {one["metric"] for one in early["correlations"]} == light


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--networks", "5"], "says nothing"),
        (["--search", "local"], "decided by the study"),
        (["--at-epoch", "3"], "measured every 2 of 10 epochs"),
        (["--seeds", "0-3"], "of a study's own options none"),
    ],
)
def test_what_cannot_be_asked_is_told(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "metrics", "--quick", *options]) == 2
    assert words in capsys.readouterr().err
    assert main(["study", "noise", "--networks", "20"]) == 2
    assert "are for `study metrics`" in capsys.readouterr().err
