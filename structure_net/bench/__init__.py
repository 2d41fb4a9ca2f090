"""The benchmark: training against the usual masked-dense way, as ratios measured in one run."""

from structure_net.bench.calibrate import calibrate
from structure_net.bench.comparison import Comparison, compare
from structure_net.bench.end_to_end import Contest
from structure_net.bench.machine import Machine, machine
from structure_net.bench.measure import FULL, QUICK, Scale, Timing, measure, names
from structure_net.bench.memory import parent_peak_bytes
from structure_net.bench.ours import Crew
from structure_net.bench.peers import PEERS
from structure_net.bench.phases import PHASES, Breakdown
from structure_net.bench.reference import MaskedNetwork, ReferenceTrainer
from structure_net.bench.report import report
from structure_net.bench.scaling import FULL_SWEEP, QUICK_SWEEP, Curve, Sweep, scaling
from structure_net.bench.stack import BATCH_SIZES, Stack, Stacked, stack
from structure_net.bench.workloads import WORKLOAD, Workload, generation, images, single

__all__ = [
    "BATCH_SIZES",
    "FULL",
    "FULL_SWEEP",
    "PEERS",
    "PHASES",
    "QUICK",
    "QUICK_SWEEP",
    "WORKLOAD",
    "Breakdown",
    "Comparison",
    "Contest",
    "Crew",
    "Curve",
    "Machine",
    "MaskedNetwork",
    "ReferenceTrainer",
    "Scale",
    "Stack",
    "Stacked",
    "Sweep",
    "Timing",
    "Workload",
    "calibrate",
    "compare",
    "generation",
    "images",
    "machine",
    "measure",
    "names",
    "parent_peak_bytes",
    "report",
    "scaling",
    "single",
    "stack",
]
