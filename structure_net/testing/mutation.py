"""The contract of a mutation."""

from __future__ import annotations

from structure_net.errors import InvalidGenomeError
from structure_net.evolution import EDITS, Mutation, World
from structure_net.genome import Edit, Genome, apply_edit
from structure_net.seeding import derive
from structure_net.testing.cases import SIZES, drawn_genomes, hold, only_given_draws, world_of

POOL = 100  # genomes of each size; the cases go round


def check_mutation(mutation: Mutation, *, cases: int = 1000, seed: int = 0) -> int:
    """An edit of every genome, or InvalidGenomeError; the same for the same draws.

    `cases` genomes of 5 and of 3,072 inputs. What the edit makes is a whole genome inside the
    space, or is refused as InvalidGenomeError and drawn again by the search; a mutation of which
    nothing is ever accepted breaks the contract. Returns how many were accepted.
    """
    name = getattr(mutation, "__name__", repr(mutation))
    accepted = 0
    for inputs, classes in SIZES:
        world = world_of(inputs, classes)
        genomes = drawn_genomes(world, min(POOL, cases), seed)
        with only_given_draws(name):
            for place in range(cases // len(SIZES)):
                genome = genomes[place % len(genomes)]
                accepted += _accepted(mutation, name, genome, world, place)
    hold(accepted > 0, f"No edit of {name} gave a genome inside the space, of {cases} cases.")
    return accepted


def _accepted(mutation: Mutation, name: str, genome: Genome, world: World, place: int) -> bool:
    """Whether the child of one case is inside the space."""
    before = genome.model_dump_json()
    edit = _edit(mutation, genome, world, place)
    hold(
        edit is None or isinstance(edit, EDITS),
        f"{name} returned {edit!r}; an edit was expected: "
        f"{', '.join(kind.__name__ for kind in EDITS)}, or InvalidGenomeError where there is none.",
    )
    hold(genome.model_dump_json() == before, f"{name} changed the genome it was given.")
    again = _edit(mutation, genome, world, place)
    hold(edit == again, f"{name} proposed {edit} and then {again} for the same genome and draws.")
    if edit is None:
        return False
    try:
        child = apply_edit(genome, edit)
        world.check(child)
    except InvalidGenomeError:
        return False
    restored = Genome.model_validate_json(child.model_dump_json())
    hold(restored == child, f"A child of {name} cannot be stored and read back: {child!r}")
    return True


def _edit(mutation: Mutation, genome: Genome, world: World, place: int) -> Edit | None:
    """What the mutation proposes with the draws of one case; None where it refuses."""
    try:
        return mutation(genome, world, derive(place, "checked mutation", world.inputs))
    except InvalidGenomeError:
        return None
