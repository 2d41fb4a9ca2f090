"""Evolution: a population, its operators, selection and fitness. No torch."""

from structure_net.evolution.budget import EpochCost, within
from structure_net.evolution.crossover import crossover
from structure_net.evolution.evolution import Evolution, Outcome, Selected
from structure_net.evolution.fitness import FITNESS, Fitness
from structure_net.evolution.mutation import MUTATIONS, WEIGHTS, Mutation, jitter
from structure_net.evolution.population import (
    World,
    founder,
    founders,
    largest_founders,
    smallest_genome,
)
from structure_net.evolution.search import SEARCHES, Search
from structure_net.evolution.selection import SELECTION, Member, Selection, rank_key

__all__ = [
    "FITNESS",
    "MUTATIONS",
    "SEARCHES",
    "SELECTION",
    "WEIGHTS",
    "EpochCost",
    "Evolution",
    "Fitness",
    "Member",
    "Mutation",
    "Outcome",
    "Search",
    "Selected",
    "Selection",
    "World",
    "crossover",
    "founder",
    "founders",
    "jitter",
    "largest_founders",
    "rank_key",
    "smallest_genome",
    "within",
]
