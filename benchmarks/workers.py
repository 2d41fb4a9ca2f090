"""Claim: two worker processes train the same networks at least 1.9 times faster than one.

python benchmarks/workers.py [--quick]
"""

from __future__ import annotations

import argparse
from statistics import median

from structure_net.bench import FULL, QUICK, Crew, Scale, generation

ENGINES = ("native", "csr", "dense")


def main(arguments: list[str] | None = None, scale: Scale | None = None) -> int:
    """Print the factor; `scale` takes the place of both usual ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of it, below a minute")
    quick = parser.parse_args(arguments).quick
    scale = scale or (QUICK if quick else FULL)
    workload = generation(scale.networks, scale.steps)
    crews = Crew(1), Crew(2)
    try:
        for crew in crews:
            crew.train(workload, ENGINES)  # warm
        rounds = [[crew.train(workload, ENGINES)[0] for crew in crews] for _ in range(scale.rounds)]
    finally:
        for crew in crews:
            crew.close()
    print(f"two workers: {median(one / two for one, two in rounds):.2f} times one")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
