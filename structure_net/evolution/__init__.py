"""Evolution: a population, its operators, selection and fitness. No torch."""

from structure_net.evolution.crossover import Crossed, crossed, crossover
from structure_net.evolution.evolution import Evolution, Outcome, Selected
from structure_net.evolution.fitness import FITNESS, Fitness
from structure_net.evolution.inheritance import continuation, inheritance
from structure_net.evolution.mutation import MUTATIONS, WEIGHTS, Mutation, jitter
from structure_net.evolution.population import (
    World,
    founder,
    founders,
    largest_founders,
    smallest_genome,
)
from structure_net.evolution.selection import SELECTION, Member, Selection, rank_key

__all__ = [
    "FITNESS",
    "MUTATIONS",
    "SELECTION",
    "WEIGHTS",
    "Crossed",
    "Evolution",
    "Fitness",
    "Member",
    "Mutation",
    "Outcome",
    "Selected",
    "Selection",
    "World",
    "continuation",
    "crossed",
    "crossover",
    "founder",
    "founders",
    "inheritance",
    "jitter",
    "largest_founders",
    "rank_key",
    "smallest_genome",
]
