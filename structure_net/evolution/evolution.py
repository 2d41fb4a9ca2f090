"""Evolution by ask and tell: `ask` gives the new trials of a generation, `tell` takes what came.

The one mutable object outside training. Everything random is derived from the run's seed and the
place in the run, so the same outcomes give the same trials in any process, at any time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from structure_net.errors import InvalidGenomeError, RunFailedError
from structure_net.evolution.crossover import crossed
from structure_net.evolution.fitness import FITNESS
from structure_net.evolution.inheritance import continuation, inheritance
from structure_net.evolution.mutation import MUTATIONS, draw_operator, jitter
from structure_net.evolution.population import TRIES, World, founder, founders
from structure_net.evolution.selection import SELECTION, Member, rank_key
from structure_net.genome import Edit, Genome, apply_edit
from structure_net.schema import Config, Inheritance, Trial, TrialFailed, TrialResult
from structure_net.seeding import derive, derive_seed

Outcome = TrialResult | TrialFailed


@dataclass(frozen=True)
class Selected:
    """What a generation came to. `ranking` holds all members with a result, best first."""

    generation: int
    population_size: int
    ranking: tuple[Member, ...]
    survivors: tuple[Member, ...]
    finished: int
    failed: int
    lost: bool
    cost: int

    @property
    def best_fitness(self) -> float | None:
        return max((member.fitness for member in self.ranking), default=None)

    @property
    def average_fitness(self) -> float | None:
        """Over every member of the population with a result, survivors and others alike."""
        return fmean(member.fitness for member in self.ranking) if self.ranking else None


class Evolution:
    """A population and its operators. Survivors keep their trial, weights and fitness."""

    def __init__(self, config: Config, inputs: int, classes: int) -> None:
        self.config = config
        self.world = World.of(config, inputs, classes)
        self._fitness = FITNESS.get(config.fitness)
        self._select = SELECTION.get(config.selection)
        self.generation = 0
        self.survivors: tuple[Member, ...] = ()
        self.champion: Member | None = None
        self._seen: set[str] = set()
        self._continued: set[int] = set()
        self._asked: list[Trial] = []
        self._next_number = 0
        self._lost_in_a_row = 0

    @property
    def asked(self) -> int:
        """Trials asked for so far; their numbers lie below."""
        return self._next_number

    def ask(self) -> list[Trial]:
        """The trials that this generation wants trained; the same list until `tell`."""
        if not self._asked:
            self._asked = self._founders() if self.generation == 0 else self._children()
            self._seen.update(trial.genome.id for trial in self._asked)
            self._next_number += len(self._asked)
        return list(self._asked)

    def tell(self, outcomes: Mapping[int, Outcome]) -> Selected:
        """Take one outcome for every asked trial, choose survivors, begin the next generation."""
        own = [outcomes[trial.number] for trial in self.ask()]
        failures = [outcome for outcome in own if isinstance(outcome, TrialFailed)]
        fresh = [self._member(outcome) for outcome in own if isinstance(outcome, TrialResult)]
        lost = not fresh
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        if lost and (self.generation == 0 or self._lost_in_a_row > 1):
            raise RunFailedError(_all_failed(self.generation, failures))
        population = [*self.survivors, *fresh]
        ranking = tuple(sorted(population, key=rank_key))
        draw = derive(self.config.seed, "selection", self.generation)
        self.survivors = tuple(self._select(ranking, self.config.survivors, draw))
        best = [ranking[0], *([self.champion] if self.champion else [])]
        self.champion = min(best, key=rank_key)
        selected = Selected(
            generation=self.generation,
            population_size=len(population) + len(failures),
            ranking=ranking,
            survivors=self.survivors,
            finished=len(fresh),
            failed=len(failures),
            lost=lost,
            cost=sum(outcome.cost for outcome in own),
        )
        self.generation += 1
        self._asked = []
        return selected

    def _member(self, result: TrialResult) -> Member:
        parents = [one for one in self.survivors if one.result.number in result.trial.parents]
        ancestors = frozenset(result.trial.parents).union(*(one.ancestors for one in parents))
        fitness = self._fitness(result)
        if not math.isfinite(fitness):
            raise RunFailedError(
                f"The fitness {self.config.fitness!r} gave {fitness} for trial {result.number}. It "
                f"must be a finite number for every finished trial."
            )
        return Member(result, fitness, ancestors)

    def _founders(self) -> list[Trial]:
        draw = derive(self.config.seed, "founders")
        genomes = founders(self.world, self.config.tournament_size, draw)
        return [self._trial(place, genome, (), ()) for place, genome in enumerate(genomes)]

    def _children(self) -> list[Trial]:
        """As many as the survivors leave room for; none repeats a genome the run has seen."""
        count = self.config.tournament_size - len(self.survivors)
        member = self._to_continue() if count > 1 else None
        trials: list[Trial] = []
        seen = set(self._seen)
        for place in range(count - (member is not None)):
            trial = self._child(place, seen)
            seen.add(trial.genome.id)
            trials.append(trial)
        if member is not None:
            trials.append(self._continuation(count - 1, member))
        return trials

    def _to_continue(self) -> Member | None:
        """With inherited weights: the fittest survivor that was not trained further yet."""
        if self.config.inherit != "weights":
            return None
        left = [one for one in self.survivors if one.result.number not in self._continued]
        return min(left, key=rank_key, default=None)

    def _continuation(self, place: int, member: Member) -> Trial:
        """The same network trained on: it competes with its earlier self, which stays."""
        number = member.result.number
        self._continued.add(number)
        genome, inherits = member.result.genome, continuation(member)
        return self._trial(place, genome, (number,), ("continue",), inherits)

    def _child(self, place: int, seen: set[str]) -> Trial:
        for attempt in range(TRIES):
            draw = derive(self.config.seed, "child", self.generation, place, attempt)
            pair = draw.permutation(len(self.survivors))[:2]
            parents = sorted((self.survivors[int(index)] for index in pair), key=rank_key)
            genomes = [member.result.genome for member in parents]
            operators = ["crossover"]
            edits: list[Edit] = []
            try:
                cross = crossed(genomes[0], genomes[-1], draw)
                genome = cross.genome
                if draw.random() < self.config.mutation_rate:
                    operators.append(draw_operator(draw))
                    edits.append(MUTATIONS.get(operators[-1])(genome, self.world, draw))
                    genome = apply_edit(genome, edits[-1])
                edits.append(jitter(genome, self.world, draw))
                genome = apply_edit(genome, edits[-1])
                self.world.check(genome)
            except InvalidGenomeError:
                continue  # an operator that leaves the space is drawn again
            if genome.id not in seen:
                numbers = tuple(sorted(member.result.number for member in parents))
                weights = self.config.inherit == "weights"
                inherits = inheritance(cross, parents, edits, genome) if weights else None
                return self._trial(place, genome, numbers, tuple(operators), inherits)
        draw = derive(self.config.seed, "child", self.generation, place, "fresh")
        strategy = self.world.strategies[int(draw.integers(len(self.world.strategies)))]
        return self._trial(place, founder(self.world, strategy, draw, seen), (), ("fresh",))

    def _trial(
        self,
        place: int,
        genome: Genome,
        parents: tuple[int, ...],
        operators: tuple[str, ...],
        inherits: Inheritance | None = None,
    ) -> Trial:
        return Trial(
            number=self._next_number + place,
            generation=self.generation,
            genome=genome,
            seed=derive_seed(self.config.seed, "trial", self.generation, place),
            parents=parents,
            operators=operators,
            epochs=self.config.epochs_per_generation,
            inherits=inherits,
        )


def _all_failed(generation: int, failures: list[TrialFailed]) -> str:
    """One sentence for a generation without a result: the common reason once."""
    first = failures[0]
    reasons = {(failure.failure, failure.reason) for failure in failures}
    alike = "all alike" if len(reasons) == 1 else f"in {len(reasons)} ways, the first"
    return (
        f"Every one of the {len(failures)} trials of generation {generation + 1} failed, {alike}: "
        f"{first.failure}: {first.reason}. Nothing can be selected from that, so the run ends."
    )
