"""What each operator's children came to, and weights that follow from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from structure_net.evolution.mutation import operator_weights
from structure_net.evolution.selection import Member
from structure_net.schema import OperatorCount, Trial


class Accounting:
    """Counts for every operator: of the generation that is going on, and of all before it."""

    def __init__(self) -> None:
        self._now: dict[str, OperatorCount] = {}
        self._before: dict[str, OperatorCount] = {}

    def refused(self, operators: Iterable[str], *, duplicate: bool = False) -> None:
        """Operators proposed a child that left the space, or repeated a genome."""
        for name in operators:
            self._add(name, proposed=1, refused=1, duplicates=int(duplicate))

    def proposed(self, operators: Iterable[str]) -> None:
        """Operators proposed a child that will be trained."""
        for name in operators:
            self._add(name, proposed=1)

    def finish(
        self,
        trials: Sequence[Trial],
        evaluated: Mapping[int, Member],
        parents: Mapping[int, Member],
        survivors: Collection[int],
    ) -> tuple[OperatorCount, ...]:
        """The counts of the generation that these trials end; members by number of their trial."""
        for trial in trials:
            member = evaluated.get(trial.number)
            best = max((parents[number].fitness for number in trial.parents), default=None)
            improved = member is not None and best is not None and member.fitness > best
            for name in trial.operators:
                self._add(
                    name,
                    evaluated=int(member is not None),
                    failed=int(member is None),
                    improved=int(improved),
                    survived=int(trial.number in survivors),
                )
        counts, self._now = self._now, {}
        for count in counts.values():
            self._before[count.name] = added(self._before.get(count.name), count)
        return tuple(counts[name] for name in sorted(counts))

    def weights(self, *, residual_blocks: bool = True) -> dict[str, float]:
        """Mutation weights: half the fixed one, half the share of evaluated children that
        survived, as (survived + 1) / (evaluated + 2), which begins at 1/2; together 1."""
        raw = {}
        for name, base in operator_weights(residual_blocks=residual_blocks).items():
            count = self._before.get(name, OperatorCount(name=name))
            raw[name] = 0.5 * base + 0.5 * (count.survived + 1) / (count.evaluated + 2)
        total = sum(raw.values())
        return {name: weight / total for name, weight in raw.items()}

    def _add(self, name: str, **more: int) -> None:
        self._now[name] = added(self._now.get(name), OperatorCount(name=name, **more))


def added(first: OperatorCount | None, second: OperatorCount) -> OperatorCount:
    """Two counts of one operator as one."""
    if first is None:
        return second
    fields = [name for name in OperatorCount.model_fields if name != "name"]
    sums = {name: getattr(first, name) + getattr(second, name) for name in fields}
    return OperatorCount(name=second.name, **sums)
