"""Extension points: functions and frozen classes found by name.

Names match case-insensitively and treat `-` and `_` alike, so `best-of-k` and `BEST_OF_K` are one
name. A miss is an error that lists the nearest names.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from structure_net.errors import UsageError

T = TypeVar("T")


def normal(name: str) -> str:
    """The form under which two spellings of one name are equal."""
    return name.strip().lower().replace("-", "_")


def nearest(name: str, known: list[str]) -> str:
    """The end of a sentence about an unknown name: the close ones, else all of them."""
    close = difflib.get_close_matches(normal(name), [normal(other) for other in known], n=3)
    spelled = {normal(other): other for other in known}
    if close:
        return "did you mean " + " or ".join(repr(spelled[other]) for other in close) + "?"
    return "known are " + ", ".join(sorted(known)) + "."


class Registry(Generic[T]):
    """One family of extensions (fitness functions, mutations, …) by name."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._members: dict[str, tuple[str, T]] = {}
        self.weights: dict[str, float] = {}

    def register(self, name: str, weight: float | None = None) -> Callable[[T], T]:
        """Decorator that enters a member; a second one of the same name is an error.

        `weight`, above 0, is how often the member is drawn relative to the others, in a family
        whose members are drawn.
        """
        if not isinstance(name, str) or not name.strip():
            raise UsageError(
                f"A {self.family} is registered as {name!r}, and a name in quotes was expected, as "
                f'in register("mine").'
            )
        if weight is not None and not (math.isfinite(weight) and weight > 0):
            raise UsageError(f"The {self.family} {name!r} has weight {weight}; it must be above 0.")

        def enter(member: T) -> T:
            if normal(name) in self._members:
                raise UsageError(
                    f"A {self.family} named {name!r} is registered twice. Give the second another "
                    f"name."
                )
            self._members[normal(name)] = (name, member)
            if weight is not None:
                self.weights[name] = weight
            return member

        return enter

    def forget(self, name: str) -> None:
        """Take a member out again: what a plug-in that cannot be used had registered."""
        spelled, _ = self._members.pop(normal(name))
        self.weights.pop(spelled, None)

    def get(self, name: str) -> T:
        """The member of that name; UsageError with suggestions otherwise."""
        if normal(name) not in self._members:
            raise UsageError(f"No {self.family} is named {name!r}: {nearest(name, list(self))}")
        return self._members[normal(name)][1]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._members.values()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and normal(name) in self._members
