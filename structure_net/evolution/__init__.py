"""Evolution: a population, its operators, selection and fitness. No torch."""

from structure_net.evolution.budget import Price, within
from structure_net.evolution.crossover import Crossed, crossed, crossover
from structure_net.evolution.evolution import Evolution, Outcome, Selected
from structure_net.evolution.fitness import FITNESS, Fitness
from structure_net.evolution.inheritance import continuation, inheritance
from structure_net.evolution.mutation import (
    EDITS,
    MUTATIONS,
    WEIGHTS,
    Mutation,
    jitter,
    operator_weights,
)
from structure_net.evolution.pareto import crowding, dominated_share, fronts, hypervolume
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
    "EDITS",
    "FITNESS",
    "MUTATIONS",
    "SEARCHES",
    "SELECTION",
    "WEIGHTS",
    "Crossed",
    "Evolution",
    "Fitness",
    "Member",
    "Mutation",
    "Outcome",
    "Price",
    "Search",
    "Selected",
    "Selection",
    "World",
    "continuation",
    "crossed",
    "crossover",
    "crowding",
    "dominated_share",
    "founder",
    "founders",
    "fronts",
    "hypervolume",
    "inheritance",
    "jitter",
    "largest_founders",
    "operator_weights",
    "rank_key",
    "smallest_genome",
    "within",
]
