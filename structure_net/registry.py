"""Extension points: functions and frozen classes found by name.

Names match case-insensitively and treat `-` and `_` alike, so `best-of-k` and `BEST_OF_K` are one
name. A miss is an error that lists the nearest names.
"""

from __future__ import annotations

import difflib
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

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters a member; a second one of the same name is an error."""

        def enter(member: T) -> T:
            if normal(name) in self._members:
                raise UsageError(f"A {self.family} named {name!r} is registered twice.")
            self._members[normal(name)] = (name, member)
            return member

        return enter

    def get(self, name: str) -> T:
        """The member of that name; UsageError with suggestions otherwise."""
        if normal(name) not in self._members:
            raise UsageError(f"No {self.family} is named {name!r}: {nearest(name, list(self))}")
        return self._members[normal(name)][1]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._members.values()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and normal(name) in self._members
