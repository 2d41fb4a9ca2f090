"""Arms of single trainings beside each other, seed by seed, with p-values adjusted together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from structure_net.studies.statistics import (
    ALPHA,
    MINIMUM_PAIRS,
    Pairs,
    compare_pairs,
    holm,
    summary,
)
from structure_net.studies.table import NONE
from structure_net.studies.trainings import Training

Place = tuple[str, float]  # an arm at a density
CONTRAST_HEAD = (
    *("arm", "against", "density", "difference", "95 % interval"),
    *("p (Holm)", "A12", "d", "seeds", "verdict"),
)
WORDS = frozenset({"arm", "against", "verdict"})  # columns that stand to the left


@dataclass(frozen=True)
class Contrast:
    """`first` minus `second` at a density, over the seeds on which both have an accuracy; None
    where there is no such seed. `p_holm` is adjusted for all contrasts of the same table."""

    first: str
    second: str
    density: float
    pairs: Pairs | None
    p_holm: float | None = None

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.pairs is None:
            return "no seed has both"
        if self.p_holm is None:
            return f"not tested: {self.pairs.count} seeds, at least {MINIMUM_PAIRS} are wanted"
        if self.p_holm >= ALPHA:
            return "no difference shown"
        return "better" if self.pairs.difference > 0 else "worse"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def accuracies(trainings: Iterable[Training]) -> dict[Place, dict[int, float]]:
    """By arm and density, for each seed; failures have none."""
    found: dict[Place, dict[int, float]] = {}
    for one in trainings:
        own = found.setdefault((one.arm, one.density), {})
        if one.accuracy is not None:
            own[one.seed] = one.accuracy
    return found


def contrasts(
    values: Mapping[Place, Mapping[int, float]], wanted: Sequence[tuple[str, str, float]]
) -> list[Contrast]:
    """One table: (first, second, density) each, p-values adjusted together (Holm)."""
    found = [
        Contrast(first, second, density, _pairs(values, first, second, density))
        for first, second, density in wanted
    ]
    tested = [place for place, one in enumerate(found) if one.pairs and one.pairs.p is not None]
    ps = [one.pairs.p for one in found if one.pairs and one.pairs.p is not None]
    for place, p in zip(tested, holm(ps), strict=True):
        found[place] = replace(found[place], p_holm=p)
    return found


def _pairs(
    values: Mapping[Place, Mapping[int, float]], first: str, second: str, density: float
) -> Pairs | None:
    one, other = values.get((first, density), {}), values.get((second, density), {})
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    purpose = f"contrast/{first}/{second}/{density!r}"
    return compare_pairs([one[seed] for seed in seeds], [other[seed] for seed in seeds], purpose)


def interval(values: Sequence[float], purpose: str) -> dict[str, Any] | None:
    """Mean with its 95 % interval as JSON values; None where there is no value."""
    if not values:
        return None
    mean, low, high = summary(values, purpose)
    return {"mean": mean, "low": low, "high": high, "count": len(values)}


def smallest_p(seeds: int, tests: int) -> float:
    """The smallest adjusted p-value that so many seeds allow beside so many tests."""
    return min(1.0, tests * 2.0 / 2.0**seeds)


def reach_note(seeds: int, tests: int) -> str:
    """What the number of seeds allows, in words."""
    if seeds < MINIMUM_PAIRS:
        return f"{seeds} seeds: no p-value is given below {MINIMUM_PAIRS}"
    return (
        f"{seeds} seeds and {tests} comparisons in one table: no adjusted p can be below "
        f"{smallest_p(seeds, tests):.2g}"
    )


def contrast_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of `CONTRAST_HEAD`."""
    pairs, start = one["pairs"], (one["first"], one["second"], f"{one['density']:g}")
    if pairs is None:
        return (*start, *[NONE] * 6, one["verdict"])
    return (
        *start,
        f"{pairs['difference']:+.4f}",
        f"{pairs['low']:+.4f} {pairs['high']:+.4f}",
        NONE if one["p_holm"] is None else f"{one['p_holm']:.4f}",
        f"{pairs['a12']:.2f}",
        NONE if pairs["effect"] is None else f"{pairs['effect']:+.2f}",
        str(pairs["count"]),
        one["verdict"],
    )
