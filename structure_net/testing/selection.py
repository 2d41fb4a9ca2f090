"""The contract of a selection."""

from __future__ import annotations

from structure_net.evolution import Selection, rank_key
from structure_net.seeding import derive
from structure_net.testing.cases import drawn_members, hold, only_given_draws

# Populations from the smallest to a full preset's twice; every size up to 12.
POPULATIONS = (*range(2, 13), 16, 31, 32, 64, 127, 128)


def check_selection(selection: Selection, *, seed: int = 0) -> None:
    """Some of the members, each once, from one to as many as wanted; the same for the same draws.

    Populations of 2 to 128 members with ties of every kind; one survivor, the usual quarter, all
    but one.
    """
    for size in POPULATIONS:
        for count in sorted({1, max(1, size // 4), size - 1}):
            _check_once(selection, size, count, seed)


def _check_once(selection: Selection, size: int, count: int, seed: int) -> None:
    name = getattr(selection, "__name__", repr(selection))
    members = sorted(drawn_members(size, seed), key=rank_key)
    given = list(members)
    with only_given_draws(name):
        chosen = selection(given, count, derive(seed, "selection", size, count))
        again = selection(given, count, derive(seed, "selection", size, count))
    case = f"{count} survivors wanted of {size} members"
    hold(
        isinstance(chosen, list | tuple)
        and all(any(one is had for had in given) for one in chosen),
        f"{name} must give a list of the members it was given ({case}); it gave {chosen!r}.",
    )
    numbers = [member.result.number for member in chosen]
    hold(len(set(numbers)) == len(numbers), f"{name} gave a member twice ({case}): {numbers}.")
    hold(
        1 <= len(numbers) <= count,
        f"{name} gave {len(numbers)} members ({case}): from one to as many as wanted may survive, "
        f"so that every generation has parents and children.",
    )
    same = [one.result.number for one in again] == numbers
    hold(same, f"{name} chose differently for the same members and draws ({case}).")
    untouched = len(given) == len(members)
    untouched = untouched and all(one is had for one, had in zip(given, members, strict=True))
    hold(untouched, f"{name} changed the list it was given ({case}): sort a copy.")
