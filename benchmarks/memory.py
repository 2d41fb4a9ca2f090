"""Claim: the memory of the process that runs a tournament does not grow with the number of trials.

python benchmarks/memory.py [--quick]
"""

from __future__ import annotations

import argparse

from structure_net.bench import parent_peak_bytes

COMPETITORS = 16
GENERATIONS = (4, 80)  # 52 and 964 trials
QUICK_GENERATIONS = (1, 4)


def main(arguments: list[str] | None = None, generations: tuple[int, ...] | None = None) -> int:
    """Print the peaks; `generations` takes the place of both usual pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few generations only")
    quick = parser.parse_args(arguments).quick
    for count in generations or (QUICK_GENERATIONS if quick else GENERATIONS):
        peak = parent_peak_bytes(COMPETITORS if generations is None else 2, count)
        print(f"{count} generations: {peak / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
