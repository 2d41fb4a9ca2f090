"""What a child starts from, decided from genomes alone: no weights, no files."""

from __future__ import annotations

from collections.abc import Sequence

from structure_net.evolution.crossover import Crossed
from structure_net.evolution.selection import Member
from structure_net.genome import Edit, Genome
from structure_net.schema import Inheritance


def inheritance(
    crossed: Crossed, parents: Sequence[Member], edits: Sequence[Edit], child: Genome
) -> Inheritance | None:
    """What a child of `crossed` and then `edits` takes over; `parents` begin with the fitter one.

    The primary parent, whose network it is, is the one with more of the child's layers; the fitter
    one in a tie, and whenever the parents' layers do not all match: the child's list of layers is
    the fitter's. None, so fresh weights, where the child has another activation or normalisation
    than the primary parent: what is learnt for one is wrong for another.
    """
    fitter, other = parents[0].result, parents[-1].result
    matched, taken = crossed.matched, crossed.taken
    layers = len(crossed.genome.hidden) + 1
    all_match = len(matched) == len(fitter.genome.hidden) == len(other.genome.hidden)
    primary, second = fitter, other
    if all_match and 2 * len(taken) > layers:
        primary, second = other, fitter
        taken = tuple(layer for layer in range(layers) if layer not in taken)
    own = primary.genome
    if (child.activation, child.normalisation) != (own.activation, own.normalisation):
        return None
    alone = not taken or primary.number == second.number
    return Inheritance(
        primary=primary.number,
        other=None if alone else second.number,
        matched=() if alone else matched,
        taken=() if alone else taken,
        crossed=crossed.genome,
        edits=tuple(edits),
    )


def continuation(member: Member) -> Inheritance:
    """The member's network, to be trained further as it is."""
    return Inheritance(primary=member.result.number, crossed=member.result.genome)
