"""How much memory the default run wants, from the sizes of its first networks alone."""

from __future__ import annotations

from structure_net.cli.requirements import GB, Check
from structure_net.genome import Genome
from structure_net.schema import Config, resolve

CIFAR10 = (3072, 10, 60_000)  # inputs, classes, images; one byte an input
BYTES_PER_LABEL = 8
LARGEST_BATCH = 256  # of the automatic batch size


def cohort_estimate(config: Config, inputs: int, classes: int) -> int:
    """Memory of training a cohort of the largest networks of a first generation on a processor."""
    from structure_net.engine import Setting, choose_engine, cohort_bytes, observed_bytes
    from structure_net.evolution import World, largest_founders
    from structure_net.executors import LARGEST_COHORT
    from structure_net.training import PROBE_SAMPLES

    batch = config.batch_size_base or LARGEST_BATCH
    samples = PROBE_SAMPLES if config.enable_comprehensive_metrics else 0

    def together(genome: Genome) -> int:
        engine = choose_engine(genome, config.engine, "cpu")
        checkpointing = config.gradient_checkpointing
        setting = Setting(engine, batch, checkpointing=checkpointing, probe_samples=samples)
        cohort = [genome] * LARGEST_COHORT[engine]
        return max(cohort_bytes(cohort, setting, batch), observed_bytes(cohort, setting))

    return max(map(together, largest_founders(World.of(config, inputs, classes))))


def memory_check() -> Check:
    """The default run's estimate against what is there.

    Each worker holds Python and torch, measured on this process, and one cohort at a time; the
    dataset is shared by all.
    """
    from structure_net.executors import read_machine, run_bytes, usable_cores

    config, machine = resolve().config, read_machine([])
    inputs, classes, images = CIFAR10
    workers = config.workers or usable_cores()
    cohort = cohort_estimate(config, inputs, classes)
    dataset = images * (inputs + BYTES_PER_LABEL)
    wanted = run_bytes(machine, workers, cohort, dataset)
    own = (wanted - machine.program - dataset) / workers
    figure = (
        f"at most {own / GB:.2f} GB a worker x {workers} + data {dataset / GB:.2f} GB = "
        f"{wanted / GB:.1f} GB of {machine.memory / GB:.1f} GB"
    )
    name = "memory of the default run"
    if wanted > machine.memory * config.max_memory_per_gpu:
        advice = "fewer --workers or --quick; a run takes as many workers as fit"
        return Check(name, "problem", figure, advice, required=False)
    return Check(name, "ok", figure, "an estimate, not a measurement", required=False)
