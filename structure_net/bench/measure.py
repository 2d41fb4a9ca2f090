"""Interleaved measurements: ours, plain, strong, in turn; ratios round by round, medians over them.

Machines are shared and change their speed; a ratio within a round cancels that, a single time does
not. Preparing the training data is inside our time and outside the reference's; building networks
is outside both, since a real training does it once in thousands of steps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from structure_net.bench.data import Parts
from structure_net.bench.end_to_end import Contest, hold, train_alike
from structure_net.bench.ours import Crew, chosen_engine
from structure_net.bench.peers import Peer, installed
from structure_net.bench.phases import Breakdown, breakdown
from structure_net.bench.reference import ReferenceTrainer
from structure_net.bench.workloads import DENSITIES, SHAPES, Workload, generation, single

REFERENCES = ("plain", "strong")
PEER_SHAPE = "A"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    networks: int
    steps: int
    single_steps: int
    contest_rounds: int
    contest: Contest
    phase_steps: int


# On two cores about 17 minutes, and below one.
FULL = Scale(9, 64, 8, 36, 3, Contest(8, 1, 15, 50_000, 1), 8)
QUICK = Scale(2, 16, 4, 9, 1, Contest(8, 2, 1, 2_560, 1), 2)


@dataclass
class Timing:
    """Seconds of each round by side, and the difference of what both sides learned as evidence of
    equal work: of the last losses, or of the tournament's mean validation accuracies."""

    workload: Workload
    seconds: dict[str, list[float]] = field(default_factory=dict)
    difference: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
    engines: tuple[str, ...] = ()

    def add(self, side: str, seconds: float) -> None:
        self.seconds.setdefault(side, []).append(seconds)

    def ratio(self, side: str) -> float:
        """Median over the rounds of that side's seconds / our seconds."""
        pairs = zip(self.seconds[side], self.seconds["ours"], strict=True)
        return median(theirs / own for theirs, own in pairs)

    @property
    def others(self) -> list[str]:
        """Every side but ours."""
        return [side for side in self.seconds if side != "ours"]

    def as_json(self) -> dict[str, Any]:
        networks, steps = len(self.workload.genomes), self.workload.steps
        return {
            "networks": networks,
            "steps": steps,
            "batch_size": self.workload.batch_size,
            "validation_samples": self.workload.validation,
            "connections": self.workload.connections,
            "engines": list(self.engines),
            "milliseconds_per_step": {
                side: 1e3 * median(values) / networks / steps
                for side, values in self.seconds.items()
            },
            "ratio": {side: self.ratio(side) for side in self.others},
            "rounds": self.seconds,
            "difference": self.difference,
            **self.details,
        }


Told = str | Timing | Breakdown


def names() -> list[str]:
    """Every workload, in the order of measuring."""
    singles = [f"{shape}@{density:g}" for shape in SHAPES for density in DENSITIES]
    return ["generation", *singles, "tournament"]


def measure(
    scale: Scale, cores: int, engines: Sequence[str], only: Collection[str] | None = None
) -> Iterator[Told]:
    """A Timing for each workload as it is done, for the single shapes a Breakdown after it; and
    text in between that says what is being done. `only` names some of the workloads."""
    wanted = [name for name in names() if only is None or name in only]
    yield f"{cores} processes start"
    if fixed := [name for name in wanted if name != "tournament"]:
        crew = Crew(cores)
        try:
            for workload in (_workload(name, scale, cores) for name in fixed):
                yield from _fixed(workload, scale, cores, engines, crew)
        finally:
            crew.close()
    if "tournament" in wanted:
        yield from _tournament(scale, cores, engines)


def _workload(name: str, scale: Scale, cores: int) -> Workload:
    """The single shapes in one copy a core."""
    if name == "generation":
        return generation(scale.networks, scale.steps)
    shape, density = name.split("@")
    return single(shape, float(density), cores, scale.single_steps)


def _fixed(
    workload: Workload, scale: Scale, cores: int, engines: Sequence[str], crew: Crew
) -> Iterator[Told]:
    training, validation = Parts.draw().tensors(workload)
    used = {chosen_engine(genome, engines) for genome in workload.genomes}
    timing = Timing(workload, engines=tuple(sorted(used)))
    peers: list[Peer] = installed() if workload.name.startswith(PEER_SHAPE) else []
    crew.train(workload, engines)  # warm: kernels compiled, memory touched
    for number in range(scale.rounds):
        yield f"{workload.name}: round {number + 1} of {scale.rounds}"
        seconds, own = crew.train(workload, engines)
        timing.add("ours", seconds)
        for side in REFERENCES:
            trainer = ReferenceTrainer(workload, strong=side == "strong", threads=cores)
            seconds, theirs = trainer.train(training, validation)
            timing.add(side, seconds)
            if side == "plain":
                worst = max(abs(one - other) for one, other in zip(own, theirs, strict=True))
                timing.difference = max(timing.difference, worst)
        for peer in peers:
            timing.add(peer.name, peer.train(workload, training, validation, cores))
    yield timing
    if workload.validation:
        yield f"{workload.name}: phases"
        engine = chosen_engine(workload.genomes[0], engines)
        yield breakdown(workload, engine, scale.phase_steps, cores)


def _tournament(scale: Scale, cores: int, engines: Sequence[str]) -> Iterator[Told]:
    contest, timing, starts = scale.contest, None, []
    for number in range(scale.contest_rounds):
        yield f"tournament: round {number + 1} of {scale.contest_rounds}"
        held = hold(contest, cores, engines)
        if timing is None:
            used = {result.engine for result in held.results}
            timing = Timing(held.workload, engines=tuple(sorted(used)))
        timing.add("ours", held.seconds)
        starts.append(held.start_seconds)
        scale_up = contest.epochs / contest.reference_epochs
        own = [curve[contest.reference_epochs - 1] for curve in held.accuracies]
        for side in REFERENCES:
            yield f"tournament: round {number + 1} of {scale.contest_rounds}, {side}"
            strong = side == "strong"
            found = train_alike(held, contest.reference_epochs, strong=strong, threads=cores)
            seconds, theirs = found
            timing.add(side, seconds * scale_up)
            if side == "plain":
                gap = abs(sum(own) - sum(theirs)) / len(own)
                timing.difference = max(timing.difference, gap)
    assert timing is not None  # there is at least one round
    timing.details = {
        "competitors": contest.competitors,
        "generations": contest.generations,
        "epochs": contest.epochs,
        "images": contest.images,
        "failed": held.failed,
        "start_seconds": median(starts),
        "reference_share": 1.0 / scale_up,  # of each trial's epochs; times are scaled up
    }
    yield timing
