"""Evolution by ask and tell: `ask` gives the new trials of a generation, `tell` takes what came.

The one mutable object outside training. Everything random is derived from the run's seed and the
place in the run, so the same outcomes give the same trials in any process, at any time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from structure_net.errors import InvalidGenomeError, RunFailedError, UsageError
from structure_net.evolution.budget import EpochCost, within
from structure_net.evolution.crossover import crossover
from structure_net.evolution.fitness import FITNESS
from structure_net.evolution.mutation import MUTATIONS, draw_operator, jitter
from structure_net.evolution.population import TRIES, World, founder, founders
from structure_net.evolution.search import SEARCHES
from structure_net.evolution.selection import SELECTION, Member, rank_key
from structure_net.genome import Genome, apply_edit
from structure_net.schema import Config, Trial, TrialFailed, TrialResult
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
    """A population and its operators. Survivors keep their trial, weights and fitness.

    `epoch_cost` gives the FLOP of one epoch of a genome; a `max_cost` is kept by it.
    """

    def __init__(
        self, config: Config, inputs: int, classes: int, epoch_cost: EpochCost | None = None
    ) -> None:
        self.config = config
        self.spent = 0
        self._epoch_cost = epoch_cost
        self._search = SEARCHES[config.search]
        self.world = World.of(config, inputs, classes)
        self._fitness = FITNESS.get(config.fitness)
        self._select = SELECTION.get(config.selection)
        self.generation = 0
        self.survivors: tuple[Member, ...] = ()
        self.champion: Member | None = None
        self._seen: set[str] = set()
        self._asked: list[Trial] = []
        self._next_number = 0
        self._lost_in_a_row = 0

    @property
    def asked(self) -> int:
        """Trials asked for so far; their numbers lie below."""
        return self._next_number

    def ask(self) -> list[Trial]:
        """The trials that this generation wants trained; the same list until `tell`.

        Empty where `max_cost` leaves nothing to train: the search is over.
        """
        if not self._asked:
            wanted = self._founders() if self.generation == 0 else self._children()
            self._asked = self._affordable(wanted)
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
        count = self._search.survivors(self.config)
        self.survivors = tuple(self._select(ranking, count, draw)) if count else ()
        best = [*ranking[:1], *([self.champion] if self.champion else [])]
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
        self.spent += selected.cost
        self.generation += 1
        self._asked = []
        return selected

    def _affordable(self, wanted: list[Trial]) -> list[Trial]:
        """Those of the wanted trials that `max_cost` still pays for."""
        limit = self.config.max_cost
        if limit is None:
            return wanted
        assert self._epoch_cost is not None  # whoever asks for trials under a limit can price them
        chosen = within(wanted, limit, self.spent, self._epoch_cost)
        if not chosen and self.generation == 0:
            cheapest = min(self._epoch_cost(trial.genome) for trial in wanted)
            raise UsageError(
                f"max_cost is {limit} FLOP and one epoch of the cheapest founder costs {cheapest}. "
                f"Give at least that."
            )
        return chosen

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
        trials: list[Trial] = []
        seen = set(self._seen)
        for place in range(count):
            trial = self._child(place, seen)
            seen.add(trial.genome.id)
            trials.append(trial)
        return trials

    def _child(self, place: int, seen: set[str]) -> Trial:
        rate = self._search.mutation_rate(self.config)
        for attempt in range(TRIES if self.survivors else 0):
            draw = derive(self.config.seed, "child", self.generation, place, attempt)
            pair = draw.permutation(len(self.survivors))[:2]
            parents = sorted((self.survivors[int(index)] for index in pair), key=rank_key)
            genomes = [member.result.genome for member in parents]
            operators = ["crossover"] if self._search.crosses else []
            try:
                genome = genomes[0]
                if self._search.crosses:
                    genome = crossover(genome, genomes[-1], draw)
                if draw.random() < rate:
                    operators.append(draw_operator(draw))
                    edit = MUTATIONS.get(operators[-1])(genome, self.world, draw)
                    genome = apply_edit(genome, edit)
                genome = apply_edit(genome, jitter(genome, self.world, draw))
                self.world.check(genome)
            except InvalidGenomeError:
                continue  # an operator that leaves the space is drawn again
            if genome.id not in seen:
                numbers = tuple(sorted(member.result.number for member in parents))
                return self._trial(place, genome, numbers, tuple(operators))
        draw = derive(self.config.seed, "child", self.generation, place, "fresh")
        strategy = self.world.strategies[int(draw.integers(len(self.world.strategies)))]
        return self._trial(place, founder(self.world, strategy, draw, seen), (), ("fresh",))

    def _trial(
        self, place: int, genome: Genome, parents: tuple[int, ...], operators: tuple[str, ...]
    ) -> Trial:
        return Trial(
            number=self._next_number + place,
            generation=self.generation,
            genome=genome,
            seed=derive_seed(self.config.seed, "trial", self.generation, place),
            parents=parents,
            operators=operators,
            epochs=self.config.epochs_per_generation,
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
