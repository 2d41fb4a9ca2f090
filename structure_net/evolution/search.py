"""Searches: what children have for parents, and how many members survive.

All begin with the same founders. `evolution` is the tournament itself; the other two are its
controls, in the same space, with the same training.
"""

from __future__ import annotations

from dataclasses import dataclass

from structure_net.schema import Config


@dataclass(frozen=True)
class Search:
    """`crosses`: a child has two parents where there are two. A number in `survivors_kept` and
    `mutates_at` stands in place of the configured one. Without survivors every trial is a fresh
    draw from the space.
    """

    crosses: bool = True
    survivors_kept: int | None = None
    mutates_at: float | None = None

    def survivors(self, config: Config) -> int:
        """Members kept each generation."""
        return config.survivors if self.survivors_kept is None else self.survivors_kept

    def mutation_rate(self, config: Config) -> float:
        """Probability that a child is mutated."""
        return config.mutation_rate if self.mutates_at is None else self.mutates_at


SEARCHES: dict[str, Search] = {
    "evolution": Search(),
    "random": Search(crosses=False, survivors_kept=0),
    # The best of a generation of mutants takes the incumbent's place where it is fitter: (1 + n).
    "local": Search(crosses=False, survivors_kept=1, mutates_at=1.0),
}
