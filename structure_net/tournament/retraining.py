"""The champion's genome trained again from scratch on fresh seeds: how much of it was luck?"""

from __future__ import annotations

from structure_net.evolution import Member
from structure_net.genome import SetGrowthRule, apply_edit
from structure_net.schema import Config, RetrainingStarted, Trial
from structure_net.seeding import derive_seed


def retrainings(config: Config, champion: Member, epochs: int, first_number: int) -> list[Trial]:
    """As many trials as `retrain` asks for, with the champion's genome and its lineage's epochs.

    Each counts as a generation of its own beyond the last, so that it has its own seed, its own
    connections and weights, and its own order of batches. None grows: it has its final size.
    """
    return [
        Trial(
            number=first_number + place,
            generation=config.generations + place,
            genome=apply_edit(champion.result.genome, SetGrowthRule(growth_rule="none")),
            seed=derive_seed(config.seed, "retrain", place),
            parents=(champion.result.number,),
            operators=("retrain",),
            epochs=epochs,
        )
        for place in range(config.retrain)
    ]


def retraining_started(champion: Member, trials: list[Trial]) -> RetrainingStarted:
    """The event before them."""
    return RetrainingStarted(
        generation=trials[0].generation,
        champion=champion.result.number,
        trials=tuple(trial.number for trial in trials),
        seeds=tuple(trial.seed for trial in trials),
    )
