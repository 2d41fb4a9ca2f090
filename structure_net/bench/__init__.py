"""The benchmark: training against the usual masked-dense way, as ratios measured in one run."""

from structure_net.bench.measure import FULL, QUICK, Scale, Timing, measure, report
from structure_net.bench.ours import Crew
from structure_net.bench.reference import MaskedNetwork, ReferenceTrainer
from structure_net.bench.workloads import WORKLOAD, Workload, generation, images, single

__all__ = [
    "FULL",
    "QUICK",
    "WORKLOAD",
    "Crew",
    "MaskedNetwork",
    "ReferenceTrainer",
    "Scale",
    "Timing",
    "Workload",
    "generation",
    "images",
    "measure",
    "report",
    "single",
]
