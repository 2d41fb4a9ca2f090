"""Evolution by ask and tell: `ask` gives the new trials of a generation, `tell` takes what came.

The one mutable object outside training. Everything random is derived from the run's seed and the
place in the run, so the same outcomes give the same trials in any process, at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from structure_net.errors import InvalidGenomeError, RunFailedError, UsageError
from structure_net.evolution.accounting import Accounting
from structure_net.evolution.budget import Price, within
from structure_net.evolution.crossover import crossed
from structure_net.evolution.fitness import FITNESS, fitness_of
from structure_net.evolution.inheritance import continuation, inheritance
from structure_net.evolution.mutation import draw_operator, jitter, operator_weights, proposed
from structure_net.evolution.pareto import dominated_share, fronts, objectives
from structure_net.evolution.population import TRIES, World, founder, founders
from structure_net.evolution.search import SEARCHES
from structure_net.evolution.selection import SELECTION, Member, rank_key, survivors_of
from structure_net.genome import Edit, Genome, apply_edit
from structure_net.schema import (
    Config,
    Inheritance,
    OperatorCount,
    Trial,
    TrialFailed,
    TrialResult,
)
from structure_net.seeding import derive, derive_seed

Outcome = TrialResult | TrialFailed


@dataclass(frozen=True)
class Selected:
    """What a generation came to. `ranking` holds all members that trained to the end, best first,
    `stopped` those that ended at a rung; `front` those of the run so far that no other beats in
    both error and size, smallest error first."""

    generation: int
    population_size: int
    ranking: tuple[Member, ...]
    stopped: tuple[Member, ...]
    survivors: tuple[Member, ...]
    front: tuple[Member, ...]
    operators: tuple[OperatorCount, ...]
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
        return fmean(value for _, value in self.member_fitness) if self.member_fitness else None

    @property
    def member_fitness(self) -> tuple[tuple[int, float], ...]:
        """Trial and fitness of these, the ranking first."""
        members = [*self.ranking, *self.stopped]
        return tuple((member.result.number, member.fitness) for member in members)

    @property
    def hypervolume(self) -> float:
        """What the front dominates of the unit square of error and size; never falls in a run."""
        return dominated_share(member.result for member in self.front)


class Evolution:
    """A population and its operators. Survivors keep their trial, weights and fitness.

    `price` gives the most FLOP of a genome trained for so many epochs; a `max_cost` is kept by it.
    """

    def __init__(
        self, config: Config, inputs: int, classes: int, price: Price | None = None
    ) -> None:
        self.config = config
        self.spent = 0
        self._price = price
        self._search = SEARCHES[config.search]
        self.world = World.of(config, inputs, classes)
        FITNESS.get(config.fitness)
        SELECTION.get(config.selection)  # each raises where there is no such name
        self.generation = 0
        self.survivors: tuple[Member, ...] = ()
        self.champion: Member | None = None
        self.front: tuple[Member, ...] = ()
        self._seen: set[str] = set()
        self._continued: set[int] = set()
        self._asked: list[Trial] = []
        self._next_number = 0
        self._lost_in_a_row = 0
        self._accounting = Accounting()
        self._weights: Mapping[str, float] = self._present_weights()  # raises where one has none
        self._costs: dict[int, int] = {}

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
        asked = self.ask()
        own = [outcomes[trial.number] for trial in asked]
        failures = [outcome for outcome in own if isinstance(outcome, TrialFailed)]
        results = [outcome for outcome in own if isinstance(outcome, TrialResult)]
        evaluated = {result.number: self._member(result) for result in results}
        stopped = [one for one in evaluated.values() if one.result.stopped_after is not None]
        fresh = [one for one in evaluated.values() if one.result.stopped_after is None]
        parents = {member.result.number: member for member in self.survivors}
        lost = not fresh
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        if lost and (self.generation == 0 or self._lost_in_a_row > 1):
            raise RunFailedError(_all_failed(self.generation, failures))
        population = [*self.survivors, *fresh]
        ranking = tuple(sorted(population, key=rank_key))
        draw = derive(self.config.seed, "selection", self.generation)
        count = self._search.survivors(self.config)
        self.survivors = survivors_of(self.config.selection, ranking, count, draw) if count else ()
        self._costs.update((result.number, result.cost) for result in results)
        numbers = {member.result.number for member in self.survivors}
        best = [*ranking[:1], *([self.champion] if self.champion else [])]
        self.champion = min(best, key=rank_key)
        self.front = _front([*self.front, *fresh])
        selected = Selected(
            generation=self.generation,
            population_size=len(population) + len(stopped) + len(failures),
            ranking=ranking,
            stopped=tuple(stopped),
            survivors=self.survivors,
            front=self.front,
            operators=self._accounting.finish(asked, evaluated, parents, numbers),
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
        assert self._price is not None  # whoever asks for trials under a limit can price them
        chosen = within(wanted, limit, self.spent, self._price)
        if not chosen and self.generation == 0:
            cheapest = min(self._price(trial.genome, 1) for trial in wanted)
            raise UsageError(
                f"max_cost is {limit} FLOP and one epoch of the cheapest founder costs {cheapest}. "
                f"Give at least that."
            )
        return chosen

    def _member(self, result: TrialResult) -> Member:
        parents = [one for one in self.survivors if one.result.number in result.trial.parents]
        ancestors = frozenset(result.trial.parents).union(*(one.ancestors for one in parents))
        cost = sum(self._costs[number] for number in ancestors)
        return Member(result, self.fitness(result), ancestors, cost)

    def ranked(self, reached: Sequence[TrialResult]) -> list[TrialResult]:
        """Partial results that reached a rung, best first, in the order of selection."""
        members = [Member(result, self.fitness(result), frozenset()) for result in reached]
        return [member.result for member in sorted(members, key=rank_key)]

    def fitness(self, result: TrialResult) -> float:
        """The configured fitness of a result, whole or partial."""
        return fitness_of(self.config.fitness, result)

    def _founders(self) -> list[Trial]:
        draw = derive(self.config.seed, "founders")
        genomes = founders(self.world, self.config.tournament_size, draw)
        return [self._trial(place, genome, (), ()) for place, genome in enumerate(genomes)]

    def _children(self) -> list[Trial]:
        """As many as the survivors leave room for; none repeats a genome the run has seen."""
        count = self.config.tournament_size - len(self.survivors)
        self._weights = self._present_weights()
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

    def _present_weights(self) -> dict[str, float]:
        blocks = self.world.residual_blocks
        if self.config.adaptive_operators:
            return self._accounting.weights(residual_blocks=blocks)
        return operator_weights(residual_blocks=blocks)

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
        self._accounting.proposed(["continue"])
        genome, inherits = member.result.genome, continuation(member)
        return self._trial(place, genome, (number,), ("continue",), inherits)

    def _child(self, place: int, seen: set[str]) -> Trial:
        rate = self._search.mutation_rate(self.config)
        for attempt in range(TRIES if self.survivors else 0):
            draw = derive(self.config.seed, "child", self.generation, place, attempt)
            pair = draw.permutation(len(self.survivors))[:2]
            parents = sorted((self.survivors[int(index)] for index in pair), key=rank_key)
            parents = parents if self._search.crosses else parents[:1]
            genomes = [self._passed_on(member) for member in parents]
            operators = ["crossover"] if self._search.crosses else []
            edits: list[Edit] = []
            try:
                cross = crossed(genomes[0], genomes[-1], draw)
                genome = cross.genome
                if draw.random() < rate:
                    operators.append(draw_operator(draw, self._weights))
                    edits.append(proposed(operators[-1], genome, self.world, draw))
                    genome = apply_edit(genome, edits[-1])
                edits.append(jitter(genome, self.world, draw))
                genome = apply_edit(genome, edits[-1])
                self.world.check(genome)
            except InvalidGenomeError:
                self._accounting.refused(operators)
                continue  # an operator that leaves the space is drawn again
            if genome.id in seen:
                self._accounting.refused(operators, duplicate=True)
                continue
            self._accounting.proposed(operators)
            numbers = tuple(sorted(member.result.number for member in parents))
            weights = self.config.inherit == "weights"
            inherits = inheritance(cross, parents, edits, genome) if weights else None
            return self._trial(place, genome, numbers, tuple(operators), inherits)
        self._accounting.proposed(["fresh"])
        draw = derive(self.config.seed, "child", self.generation, place, "fresh")
        strategies, rules = self.world.strategies, self.world.growth_rules
        strategy = strategies[int(draw.integers(len(strategies)))]
        rule = rules[int(draw.integers(len(rules)))] if len(rules) > 1 else rules[0]
        genome = founder(self.world, strategy, draw, seen, growth_rule=rule)
        return self._trial(place, genome, (), ("fresh",))

    def _passed_on(self, member: Member) -> Genome:
        """The genome that children come of: with `inherit = none` the one before any growth."""
        result = member.result
        return result.trial.genome if self.config.inherit == "none" else result.genome

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


def _front(members: Sequence[Member]) -> tuple[Member, ...]:
    """Those that no other dominates: once dominated, a member never comes back."""
    points = [objectives(member.result) for member in members]
    first = fronts(points)[0] if points else []
    return tuple(members[place] for place in sorted(first, key=lambda place: points[place]))


def _all_failed(generation: int, failures: list[TrialFailed]) -> str:
    """One sentence for a generation without a result: the common reason once."""
    first = failures[0]
    reasons = {(failure.failure, failure.reason) for failure in failures}
    alike = "all alike" if len(reasons) == 1 else f"in {len(reasons)} ways, the first"
    return (
        f"Every one of the {len(failures)} trials of generation {generation + 1} failed, {alike}: "
        f"{first.failure}: {first.reason}. Nothing can be selected from that, so the run ends."
    )
