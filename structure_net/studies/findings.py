"""From findings to figures: a row for each arm, each beside the reference, losing arms too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from structure_net.environment import facts
from structure_net.evolution import hypervolume
from structure_net.schema import deciding_values
from structure_net.studies.plan import Plan
from structure_net.studies.statistics import (
    ALPHA,
    MINIMUM_PAIRS,
    Pairs,
    compare_pairs,
    holm,
    summary,
)
from structure_net.studies.study import Finding, Findings

RESULTS_VERSION = 1
EQUAL_LEDGERS = 0.01  # equal budget: ledgers within 1 %
CURVE_POINTS = 50  # of an anytime curve: two pixels more or less on a page
Series = list[float | None]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with the 95 % interval of its bootstrap."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Row:
    """An arm's figures. `ledger` are the smallest and largest share of the reference's ledger;
    `p_holm` is adjusted for the number of arms beside the reference."""

    arm: str
    values: Mapping[int, float | None]
    outcome: Interval | None
    searched: Interval | None
    hypervolume: Interval | None
    parameters: float | None
    trials: float
    failed: int
    ledger: tuple[float, float]
    against: Pairs | None = None
    p_holm: float | None = None

    @property
    def equal_ledgers(self) -> bool:
        low, high = self.ledger
        return low >= 1 - EQUAL_LEDGERS and high <= 1 + EQUAL_LEDGERS


def rows_of(findings: Findings) -> list[Row]:
    """A row for each arm, the reference first; p-values adjusted together (Holm)."""
    plan, reference = findings.plan, findings.plan.reference.name
    largest = _largest(findings)
    costs = {one.seed: one.cost for one in findings.by_arm[reference]}
    values = {
        name: {one.seed: outcome_of(one, plan, largest) for one in own}
        for name, own in findings.by_arm.items()
    }
    rows = [
        _row(plan.name, name, own, values[name], costs, largest)
        for name, own in findings.by_arm.items()
    ]
    judged = [
        row if row.arm == reference else replace(row, against=_against(row, values[reference]))
        for row in rows
    ]
    return _adjusted(judged)


def outcome_of(finding: Finding, plan: Plan, largest: int) -> float | None:
    """The value that a finding brings to the comparison: of the champion trained again, or as found
    where the plan trains none again; of the average, its mean. None where there is none."""
    outcome = plan.outcome
    if outcome == "hypervolume":
        return volume(finding, largest)
    by_accuracy = outcome == "validation_accuracy"
    champion = finding.champion
    if champion is None:
        return finding.mean_accuracy if by_accuracy else finding.mean_fitness
    if not plan.retrain:
        return champion.validation_accuracy if by_accuracy else champion.fitness
    again = champion.again_accuracy if by_accuracy else champion.again_fitness
    return fmean(again) if again else None


def volume(finding: Finding, largest: int) -> float | None:
    """Share of the box from error 0 to 1 and from 1 to `largest` parameters (on a logarithmic
    scale: a factor is a factor anywhere) that an arm's trials dominate, in [0, 1]."""
    if not finding.points:
        return None
    width = math.log(largest)
    points = [(math.log(parameters) / width, error) for error, parameters in finding.points]
    return hypervolume(points, (1.0, 1.0))


def _largest(findings: Findings) -> int:
    """Parameters of the largest network of the whole study, at least 2: a box needs a width."""
    points = [point for own in findings.by_arm.values() for one in own for point in one.points]
    return max(2, *(parameters for _, parameters in points))


def _row(
    study: str,
    name: str,
    own: Sequence[Finding],
    values: Mapping[int, float | None],
    costs: Mapping[int, int],
    largest: int,
) -> Row:
    champions = [one.champion for one in own if one.champion is not None]
    shares = [one.cost / max(1, costs[one.seed]) for one in own]
    return Row(
        arm=name,
        values=values,
        outcome=_interval(list(values.values()), f"{study}/{name}/outcome"),
        searched=_interval([one.fitness for one in champions], f"{study}/{name}/searched"),
        hypervolume=_interval([volume(one, largest) for one in own], f"{study}/{name}/hypervolume"),
        parameters=fmean(one.parameters for one in champions) if champions else None,
        trials=fmean(one.trials for one in own),
        failed=sum(one.failed for one in own),
        ledger=(min(shares), max(shares)),
    )


def _interval(values: Sequence[float | None], purpose: str) -> Interval | None:
    known = [value for value in values if value is not None]
    return Interval(*summary(known, purpose), len(known)) if known else None


def _against(row: Row, reference: Mapping[int, float | None]) -> Pairs | None:
    """The reference minus this arm, over the seeds on which both have a value."""
    pairs = [
        (first, second)
        for seed, second in row.values.items()
        if (first := reference[seed]) is not None and second is not None
    ]
    if not pairs:
        return None
    ahead, behind = [one for one, _ in pairs], [other for _, other in pairs]
    return compare_pairs(ahead, behind, f"difference/{row.arm}")


def _adjusted(rows: Sequence[Row]) -> list[Row]:
    tested = [place for place, row in enumerate(rows) if row.against and row.against.p is not None]
    ps = [pairs.p for row in rows if (pairs := row.against) and pairs.p is not None]
    adjusted = dict(zip(tested, holm(ps), strict=True))
    return [replace(row, p_holm=adjusted.get(place)) for place, row in enumerate(rows)]


def curves(findings: Findings) -> dict[str, dict[str, Series]]:
    """For each arm: best fitness so far, mean over seeds with its interval, at equal steps of the
    reference's ledger; None until every seed has a first result."""
    reference = findings.by_arm[findings.plan.reference.name]
    budgets = {one.seed: max(1, one.cost) for one in reference}
    told: dict[str, dict[str, Series]] = {}
    for name, own in findings.by_arm.items():
        if not all(one.curve for one in own):
            continue
        series: dict[str, Series] = {"mean": [], "low": [], "high": []}
        for step in range(1, CURVE_POINTS + 1):
            share = step / CURVE_POINTS
            best = [_best_at(one.curve, share * budgets[one.seed]) for one in own]
            known = [value for value in best if value is not None]
            whole = len(known) == len(own)
            figures = summary(known, f"curve/{name}/{step}") if whole else (None, None, None)
            for key, figure in zip(series, figures, strict=True):
                series[key].append(figure)
        told[name] = series
    return told


def _best_at(steps: Sequence[tuple[int, float]], cost: float) -> float | None:
    """Best fitness that had been found when `cost` was spent (to within the 1 % of ledgers)."""
    reached = [value for spent, value in steps if spent <= cost * (1 + EQUAL_LEDGERS)]
    return reached[-1] if reached else None


def results_of(findings: Findings) -> dict[str, Any]:
    """The whole study as JSON values: what the table, the page and the file show."""
    plan, rows = findings.plan, rows_of(findings)
    return {
        "schema_version": RESULTS_VERSION,
        "study": plan.name,
        **plan.facts,
        "outcome": plan.outcome,
        "margin": plan.margin,
        "seeds": list(plan.seeds),
        "retrain": plan.retrain,
        "reference": plan.reference.name,
        "equal_cost": plan.equal_cost,
        "minimum_pairs": MINIMUM_PAIRS,
        "arms": [_arm_json(row, plan.margin) for row in rows],
        "overrides": {arm.name: dict(arm.values) for arm in plan.arms},
        "curves": curves(findings),
        "findings": [asdict(one) for own in findings.by_arm.values() for one in own],
        "dataset": findings.dataset.model_dump(mode="json"),
        "config": deciding_values(findings.config.config),
        "environment": facts(),
    }


def _arm_json(row: Row, margin: float) -> dict[str, Any]:
    told = asdict(row)
    told["values"] = {str(seed): value for seed, value in row.values.items()}
    return {**told, "equal_ledgers": row.equal_ledgers, "verdict": verdict(row, margin)}


def verdict(row: Row, margin: float) -> str:
    """What may be said of an arm beside the reference, in words."""
    pairs = row.against
    if pairs is None:
        return ""
    if row.p_holm is None:
        return f"not tested: {pairs.count} pairs, at least {MINIMUM_PAIRS} are wanted"
    if row.p_holm >= ALPHA:
        return "no difference shown"
    side = "worse" if pairs.difference > 0 else "better"
    size = "" if abs(pairs.difference) >= margin else f", by less than the margin {margin:g}"
    return f"{side} than the reference{size}"
