"""What a study runs: arms on the same seeds, at equal cost, and where each run lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from structure_net.errors import UsageError
from structure_net.schema import Given, Resolved, resolve
from structure_net.seeding import derive_seed

Outcome = Literal["fitness", "validation_accuracy", "hypervolume"]
# An arm under a cost limit may take more and cheaper generations: so many times as many at most.
MORE_GENERATIONS = 100
MOST_GENERATIONS = 100_000  # of the configuration
# Ledgers within 1 % count as equal. A search ends when 98.5 % of its limit are spent: so the limit
# lies above the ledger that is to be met, and the end between .99 and 1.005 of it.
LIMIT = 1.005
MOST_SEEDS = 1_000
ARM_NAME = r"[A-Za-z0-9][\w+-]{0,39}"  # names a folder
METRICS = "enable_comprehensive_metrics"  # no outcome needs them, and no result depends on them
AVERAGE = "average"
RANDOM = "random"


@dataclass(frozen=True)
class Arm:
    """A way to run: configuration values that stand in place of the study's."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A study. The first arm is the reference; with `equal_cost` the others end at its ledger, seed
    by seed. `retrain` is how often each champion is trained again. `average` adds the mean of the
    random arm's draws as an arm that needs no run."""

    name: str
    given: Given
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    directory: Path
    retrain: int = 1
    outcome: Outcome = "fitness"
    margin: float = 0.0
    equal_cost: bool = True
    average: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> Arm:
        return self.arms[0]

    def folder(self, arm: Arm, seed: int) -> Path:
        """The directory of one run."""
        return self.directory / arm.name / f"seed-{seed}"

    def run(self, arm: Arm, seed: int, ledger: int | None = None) -> Resolved:
        """The configuration of one run; one that is to meet a ledger has room for more and cheaper
        generations."""
        resolved = self._resolved(arm, {"seed": seed, "out": self.folder(arm, seed)})
        if ledger is None:
            return resolved
        most = min(MOST_GENERATIONS, MORE_GENERATIONS * resolved.config.generations)
        return self._resolved(
            arm,
            {
                "seed": seed,
                "out": self.folder(arm, seed),
                "max_cost": int(LIMIT * ledger),
                "generations": most,
            },
        )

    def again(self, arm: Arm, seed: int) -> Resolved:
        """The configuration under which a champion is trained again: another seed, so another
        split, other weights and batches; the same for all arms."""
        fresh = derive_seed(seed, "studies", "again")
        folder = self.directory / arm.name / f"seed-{seed}-again"
        values: dict[str, Any] = {"seed": fresh, "out": folder}
        if self.retrain == 1:
            values["executor"] = "serial"  # one network needs no second process
        return self._resolved(arm, values)

    def _resolved(self, arm: Arm, values: Mapping[str, Any]) -> Resolved:
        merged = {METRICS: False, **self.given.values, **arm.values, "retrain": 0, **values}
        origins = {
            METRICS: f"study {self.name}",
            **self.given.origins,
            **dict.fromkeys(arm.values, f"arm {arm.name}"),
            **dict.fromkeys(("retrain", *values), f"study {self.name}"),
        }
        return resolve(Given(merged, origins))


def compared(given: Given, seeds: tuple[int, ...], directory: Path, retrain: int) -> Plan:
    """The tournament beside random and local search, and the average random architecture.

    `random-long` is random search whose trials are trained as long as the tournament's longest
    lineage may be: fewer of them for the same cost. It tells what longer training alone brings.
    """
    taken = [name for name in ("search", "max_cost") if name in given.values]
    if taken:
        raise UsageError(
            f"{taken[0]} is what a comparison varies itself; leave it out (it came from "
            f"{given.origins.get(taken[0], 'an argument')})."
        )
    config = resolve(given).config
    longest = config.epochs_per_generation * config.generations
    arms = (
        Arm("tournament", {"search": "evolution"}),
        Arm(RANDOM, {"search": "random"}),
        Arm("random-long", {"search": "random", "epochs_per_generation": longest}),
        Arm("local", {"search": "local"}),
    )
    return Plan("compare", given, arms, seeds, directory, retrain, average=True)


def seeds_of(text: str) -> tuple[int, ...]:
    """`0-9`, or `0,3,5-7`: ascending, without repeats; UsageError for anything else."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})\s*(?:-\s*(\d{1,18})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last - first >= MOST_SEEDS:
            raise UsageError(
                f"Seeds cannot be {text[:80]!r}: give ranges and numbers like 0-9 or 0,3,5-7, "
                f"at most {MOST_SEEDS} of them."
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))
