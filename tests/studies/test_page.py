"""The page of a study: well-formed, alone, and safe against any name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from structure_net.schema import DatasetFacts, Given
from structure_net.studies import (
    Arm,
    Champion,
    Finding,
    Findings,
    Plan,
    page,
    results_of,
    rows_of,
    table_lines,
    write_results,
)
from tests.reporting.pages import read

HOSTILE = "\"><script>alert('x')</script><img src=http://a.example/b onerror=c>&amp;"


def champion(fitness: float, again: tuple[float, ...]) -> Champion:
    return Champion("ab", (64, 20, 10), 300, fitness, fitness, again, again)


def findings(seeds: int = 12, name: str = "compare") -> Findings:
    """A reference that is better on every seed by 0.1 + 0.001 x seed, at a ledger 2 % larger."""
    by_arm: dict[str, list[Finding]] = {"first": [], "second": []}
    for seed in range(seeds):
        for arm, value, cost in (("first", 0.8, 1000), ("second", 0.7 - 0.001 * seed, 980)):
            by_arm[arm].append(
                Finding(
                    arm=arm,
                    seed=seed,
                    cost=cost,
                    trials=4,
                    failed=1 if arm == "second" else 0,
                    champion=champion(value + 0.05, (value - 0.01, value + 0.01)),
                    points=((1 - value, 300), (0.5, 100)),
                    curve=((400, 0.5), (800, value), (cost, value)),
                )
            )
    plan = Plan(name, Given({"preset": "quick"}, {}), (Arm("first"), Arm("second")),
                tuple(range(seeds)), Path("x"), retrain=2)  # fmt: skip
    facts = DatasetFacts(
        name="digits", train_hash="ab" * 32, shape=(64,), classes=("a", "b"), verified="embedded",
        train_samples=90, validation_samples=10, augmentation="none",
    )  # fmt: skip
    return Findings(plan, facts, plan.run(plan.reference, 0), by_arm)


def assert_alone(text: str) -> None:
    reader = read(text)
    assert reader.fetched == []
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert re.findall(r"url\(|@import|https?:", re.sub(r"&lt;.*?&gt;", "", text)) == []


def test_a_page_is_well_formed_and_alone() -> None:
    text = page(results_of(findings()))
    assert_alone(text)
    reader = read(text)
    assert {"svg", "table", "polyline", "title"} <= reader.tags
    assert "prefers-color-scheme: dark" in text
    assert text.startswith("<!DOCTYPE html>")


def test_every_name_is_escaped() -> None:
    told: dict[str, Any] = results_of(findings())
    told["study"] = told["claim"] = told["reference"] = HOSTILE
    told["dataset"]["name"] = told["config"][HOSTILE] = HOSTILE
    told["overrides"][HOSTILE] = {HOSTILE: HOSTILE}
    told["curves"] = {HOSTILE: told["curves"]["first"]}
    for arm in told["arms"]:
        arm["arm"] = arm["verdict"] = HOSTILE
    text = page(told)
    reader = read(text)
    assert reader.fetched == []
    assert not reader.tags & {"script", "img"}
    assert text.count("&lt;script&gt;") > 10


def test_a_study_without_curves_or_values_still_has_a_page() -> None:
    told = results_of(findings(seeds=1))
    told["curves"] = {}
    for arm in told["arms"]:
        arm.update(outcome=None, searched=None, hypervolume=None, parameters=None, against=None)
    assert_alone(page(told))
    assert table_lines(told)


def test_rows_against_a_hand_count() -> None:
    first, second = rows_of(findings())
    assert first.against is None
    assert second.against is not None
    assert first.outcome is not None
    assert first.outcome.mean == pytest.approx(0.8)
    assert first.searched is not None
    assert first.searched.mean == pytest.approx(0.85)
    assert second.against.difference == pytest.approx(0.1 + 0.001 * 5.5)
    assert second.against.p == pytest.approx(2 / 2**12)  # every sign alike
    assert second.p_holm == second.against.p
    assert second.against.a12 == 1.0
    assert second.ledger == (0.98, 0.98)
    assert not second.equal_ledgers
    assert second.failed == 12


def test_the_notes_tell_what_must_not_be_overlooked() -> None:
    lines = table_lines(results_of(findings()))
    assert "second: worse than the reference" in lines
    assert "second: its ledger is not within 1 % of first's" in lines
    assert "second: 12 trials failed" in lines
    few = table_lines(results_of(findings(seeds=4)))
    assert "4 seeds: no p-value is given below 10." in few


def test_a_margin_is_part_of_the_verdict() -> None:
    wide = findings()
    told = results_of(replace(wide, plan=replace(wide.plan, margin=0.5)))
    assert told["arms"][1]["verdict"] == "worse than the reference, by less than the margin 0.5"


def test_a_champion_that_failed_when_trained_again_leaves_the_pair_out() -> None:
    broken = findings()
    lost = broken.by_arm["second"][3]
    broken.by_arm["second"][3] = replace(lost, champion=champion(0.7, ()))
    _, second = rows_of(broken)
    assert second.against is not None
    assert second.against.count == 11


def test_curves_are_means_of_the_best_so_far() -> None:
    told = results_of(findings())["curves"]
    assert told["first"]["mean"][:19] == [None] * 19  # the first result comes at 40 %
    assert told["first"]["mean"][20] == pytest.approx(0.5)
    assert told["first"]["mean"][-1] == pytest.approx(0.8)
    assert told["second"]["mean"][-1] == pytest.approx(0.7 - 0.001 * 5.5)


def test_files_are_written_whole(tmp_path: Path) -> None:
    written = write_results(tmp_path / "deep" / "er", results_of(findings()))
    assert [path.name for path in written] == ["results.json", "report.html"]
    assert sorted(tmp_path.rglob(".*")) == []
