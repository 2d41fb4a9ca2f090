"""A plug-in with one member of each family; docs/extending.md explains it."""

import math
from dataclasses import dataclass

from structure_net import FITNESS, MUTATIONS, SELECTION, STRATEGIES, metric
from structure_net.genome import ScaleDensity, overall_density
from structure_net.learning_rates import WarmUp
from structure_net.metrics import Measurement


@FITNESS.register("cheap")
def cheap(result):
    """Validation accuracy, less 0.02 for each tenfold of parameters."""
    return result.validation_accuracy - 0.02 * math.log10(result.active_parameters)


@SELECTION.register("elite-and-luck")
def elite_and_luck(members, count, generator):
    """The better half of the survivors by rank, the others at random. `members` come best first."""
    elite = (count + 1) // 2
    lucky = generator.permutation(range(elite, len(members)))[: count - elite]
    return [*members[:elite], *(members[place] for place in sorted(lucky))]


@MUTATIONS.register("thin_out", weight=0.2)
def thin_out(genome, world, generator):
    """All layers together lose up to half of their connections."""
    share = float(generator.uniform(0.5, 1.0))
    return ScaleDensity(overall_density=overall_density(genome) * share)


@dataclass(frozen=True)
class Steps:
    """1, then a half, then a quarter: a third of the training each."""

    def __call__(self, moment):
        return 0.5 ** min(2, int(3 * moment.progress))


STRATEGIES.register("STEPS")((WarmUp(), Steps()))


@metric("confidence", unit="share", low=0, high=1, better=None, level="light")
def confidence(probe):
    """Mean probability of the class that the network finds most likely."""
    logits = probe.layers[-1].activations
    return Measurement(float(logits.double().softmax(1).amax(1).mean()))
