"""What `structure-net bench` prints, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structure_net.bench import Breakdown, Machine, Timing

SIDES = ("ours", "plain", "strong")
HEAD = (
    f"{'workload':<12} {'floor':>8} {'ours':>8} {'plain':>8} {'strong':>8}   times faster than",
    f"{'':<12} {'milliseconds a step':>35}   plain  strong  others",
)


def timing_line(timing: Timing, floor: float) -> str:
    row = timing.as_json()
    steps, ratio = row["milliseconds_per_step"], row["ratio"]
    times = " ".join(f"{value:>8.2f}" for value in (floor, *(steps[s] for s in SIDES)))
    others = ", ".join(f"{side} {ratio[side]:.1f}x" for side in ratio if side not in SIDES)
    return (
        f"{timing.workload.name:<12} {times}  {ratio['plain']:>5.1f}x {ratio['strong']:>6.1f}x"
        f"  {others}"
    ).rstrip()


def machine_lines(ceilings: Machine) -> list[str]:
    return [
        f"this machine: {ceilings.cores} cores, products {ceilings.matmul_gigaflops:.0f} GFLOP/s "
        f"in 32 bits and {ceilings.matmul16_gigaflops:.0f} in 16, copying "
        f"{ceilings.copy_gigabytes:.1f} GB/s, one core reads its cache at "
        f"{ceilings.cache_gigabytes:.0f} GB/s",
    ]


def phase_lines(breakdowns: list[Breakdown]) -> list[str]:
    from structure_net.bench import PHASES

    lines = []
    if breakdowns:
        heads = " ".join(f"{phase:>10}" for phase in PHASES)
        lines.append(f"{'milliseconds':<12} {'':<7} {heads}")
    for one in breakdowns:
        for side, phases in one.sides.items():
            values = " ".join(f"{phases[phase]:>10.2f}" for phase in PHASES)
            lines.append(f"{one.name:<12} {side:<7} {values}")
    return lines
