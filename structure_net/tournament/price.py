"""What a trial may cost at most, before it is trained: the rules of the ledger, ahead of time."""

from __future__ import annotations

from structure_net.genome import Genome, forward_flop
from structure_net.growth import GROWTH_RULES, most_connections
from structure_net.schema import DatasetFacts, GrowthPlan
from structure_net.training import PROBE_SAMPLES

# An attempt at growth looks at the network before and after its repair, and measures what came of
# revived units, moved connections and additions.
LOOKS, MEASUREMENTS = 2, 3
LOOK = 5  # forward passes that a look is worth: forward, and backward twice


def most_cost(
    data: DatasetFacts,
    batch_size: int,
    plan: GrowthPlan | None,
    genome: Genome,
    epochs: int,
    *,
    fitted: bool = False,
) -> int:
    """FLOP: 6 a connection and training sample and 2 a connection and validation one each epoch,
    with all the growth that `plan` allows. `fitted`: the starting weights are fitted to the data.
    """
    trained = data.train_samples // batch_size * batch_size
    each = 3 * trained + data.validation_samples
    flop, probed = forward_flop(genome), min(PROBE_SAMPLES, data.train_samples)
    if plan is None or not GROWTH_RULES.get(genome.growth_rule).grows:
        return (epochs * each + probed * fitted) * flop
    looked = LOOKS * LOOK * probed
    attempt = looked + MEASUREMENTS * data.validation_samples
    start, total, grown = sum(genome.counts), probed * fitted * flop, flop
    for done in range(1, epochs + 1):
        total += each * grown
        if done % plan.frequency == 0 and done < epochs:
            grown = 2 * most_connections(start, done / epochs)
            total += attempt * grown
    return total
