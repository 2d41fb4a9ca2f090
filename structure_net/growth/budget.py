"""How large a network may grow, and until when."""

from __future__ import annotations

from structure_net.genome import Genome, active_parameters, junctions_of, overall_density
from structure_net.schema import GrowthPlan

# Newborn units need time: nothing is added in the last third of a training.
LAST_PROGRESS = 0.65
GROWN_SHARE = 0.5  # of the connections at the start of the trial, when all of it has accrued


def most_connections(start: int, progress: float) -> int:
    """N(p): what `start` connections may have grown to at this progress."""
    return int(start * (1.0 + GROWN_SHARE * min(1.0, progress / LAST_PROGRESS)))


def refusal(plan: GrowthPlan, start: Genome, genome: Genome, progress: float) -> str:
    """Why a network that began as `start` may not grow to `genome`; empty where it may."""
    if blocks_of(genome) > blocks_of(start) + plan.new_blocks:
        return f"{blocks_of(genome)} residual blocks, at most {plan.new_blocks} more than at first"
    most = most_connections(sum(start.counts), progress)
    if sum(genome.counts) > most:
        return f"{sum(genome.counts)} connections, {most} by now"
    if len(genome.shapes) > plan.max_layers:
        return f"{len(genome.shapes)} sparse layers, at most {plan.max_layers}"
    if max(gene.width for gene in genome.hidden) > plan.max_width:
        return f"a layer wider than {plan.max_width}"
    if overall_density(genome) > max(plan.max_density, overall_density(start)):
        return f"overall density {overall_density(genome):.3f}, at most {plan.max_density}"
    if plan.max_parameters is not None and active_parameters(genome) > plan.max_parameters:
        return f"{active_parameters(genome)} parameters, at most {plan.max_parameters}"
    return ""


def blocks_of(genome: Genome) -> int:
    """Residual blocks of all junctions."""
    return sum(len(behind) for behind in genome.blocks)


def junctions(plan: GrowthPlan, start: Genome, genome: Genome) -> tuple[int, ...]:
    """Hidden layers of `genome` that may have another residual block behind them."""
    if blocks_of(genome) >= blocks_of(start) + plan.new_blocks:
        return ()
    return junctions_of(genome, plan.narrowest_junction)


def room(plan: GrowthPlan, start: Genome, genome: Genome, progress: float) -> int:
    """Connections that may still be added to `genome` as it is."""
    possible = sum(sources * units for sources, units in genome.shapes)
    densest = max(plan.max_density, overall_density(start)) * possible
    most = min(most_connections(sum(start.counts), progress), int(densest))
    left = most - sum(genome.counts)
    if plan.max_parameters is not None:
        left = min(left, plan.max_parameters - active_parameters(genome))
    return max(0, left)
