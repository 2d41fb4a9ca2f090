"""What the claims about ratios share: measure some workloads, print their ratios."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from structure_net.bench import FULL, QUICK, Scale, Timing, measure
from structure_net.executors import usable_cores

EVERY_ENGINE = ("native", "csr", "dense")


def print_ratios(
    claim: str | None,
    workloads: Sequence[str],
    arguments: Sequence[str] | None,
    scale: Scale | None,
    engines: Sequence[str] = EVERY_ENGINE,
) -> int:
    """`scale` takes the place of both usual ones; `claim` is the script's own docstring."""
    parser = argparse.ArgumentParser(description=claim)
    parser.add_argument("--quick", action="store_true", help="less of it, below a minute")
    quick = parser.parse_args(arguments).quick
    scale = scale or (QUICK if quick else FULL)
    for one in measure(scale, usable_cores(), engines, workloads):
        if isinstance(one, Timing):
            plain, strong = one.ratio("plain"), one.ratio("strong")
            print(f"{one.workload.name}: {plain:.1f} times plain, {strong:.1f} times strong")
    return 0
