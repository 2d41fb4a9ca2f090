"""A search within a given cost: which of the trials that it wants are still paid for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial

from structure_net.genome import Genome
from structure_net.schema import Trial

Price = Callable[[Genome, int], int]  # of a genome trained for so many epochs, at most
# A search with less than this left begins nothing more: a trial of so few epochs finds nothing.
SPENT = 0.985


def within(trials: Sequence[Trial], limit: int, spent: int, price: Price) -> list[Trial]:
    """The trials that `limit` leaves room for, in order, their numbers closed up.

    The first that does not fit whole gets as many epochs as fit, and is the last; one that does not
    fit for a single epoch is left out. Costs are in FLOP and the most that may come: what networks
    do not grow to, and what ends early, is left for the next generation.
    """
    chosen: list[Trial] = []
    left = limit - spent
    for trial in trials:
        if limit - left >= SPENT * limit:
            break
        genome = trial.genome
        epochs = bisect_right(range(1, trial.epochs + 1), left, key=partial(price, genome))
        if epochs == 0:
            continue
        number = trials[0].number + len(chosen)
        chosen.append(trial.model_copy(update={"number": number, "epochs": epochs}))
        left -= price(genome, epochs)
        if epochs < trial.epochs:
            break
    return chosen
