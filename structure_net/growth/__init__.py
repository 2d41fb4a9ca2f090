"""Growth: what is wrong with a network, what a rule wants done about it, within a budget."""

from structure_net.growth.attempt import Applied, applied
from structure_net.growth.budget import LAST_PROGRESS, junctions, most_connections, refusal, room
from structure_net.growth.findings import Findings, found, found_by_seed, found_relative, starved
from structure_net.growth.flow import Drop, largest_drop
from structure_net.growth.offers import Offer, offer_of
from structure_net.growth.relief import extrema_aware
from structure_net.growth.repair import Grow, revivals, rewired_share, rewirings
from structure_net.growth.rules import (
    EXTREMA_RATIO,
    GROWTH_RULES,
    GrowthRule,
    opposite_place,
    random_place,
)
from structure_net.growth.situation import Proposal, Situation, draw_of
from structure_net.growth.units import half_firing_bias, leading_directions, unit_layers

__all__ = [
    "EXTREMA_RATIO",
    "GROWTH_RULES",
    "LAST_PROGRESS",
    "Applied",
    "Drop",
    "Findings",
    "Grow",
    "GrowthRule",
    "Offer",
    "Proposal",
    "Situation",
    "applied",
    "draw_of",
    "extrema_aware",
    "found",
    "found_by_seed",
    "found_relative",
    "half_firing_bias",
    "junctions",
    "largest_drop",
    "leading_directions",
    "most_connections",
    "offer_of",
    "opposite_place",
    "random_place",
    "refusal",
    "revivals",
    "rewired_share",
    "rewirings",
    "room",
    "starved",
    "unit_layers",
]
