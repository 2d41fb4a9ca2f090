"""Claim: without a compiler, in pure torch, a generation of 64 mixed networks trains at least 4
times faster than by plain dense layers with masks; 7 times is the aim.

    python benchmarks/fallback.py [--quick]
"""

from __future__ import annotations

from ratios import print_ratios

from structure_net.bench import Scale


def main(arguments: list[str] | None = None, scale: Scale | None = None) -> int:
    """Print the ratios; `scale` takes the place of both usual ones."""
    return print_ratios(__doc__, ("generation",), arguments, scale, ("csr", "dense"))


if __name__ == "__main__":
    raise SystemExit(main())
