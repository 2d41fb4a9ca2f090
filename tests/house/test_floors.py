"""Imports go down the floors, and through a folder's front door."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.tree import FLOORS, PACKAGE, ROOT, floor_of, imports, member_of, modules


def named(paths: tuple[Path, ...]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_every_member_of_the_package_has_a_floor() -> None:
    members = {member_of(path) for path in modules()} - {""}
    assert members == {member for floor in FLOORS for member in floor}


def test_the_documentation_shows_these_floors() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", text, flags=re.MULTILINE)
    shown = [tuple(re.findall(r"`(\w+)`", members)) for _, members in rows]
    assert shown == list(FLOORS)
    assert [int(number) for number, _ in rows] == list(range(1, len(FLOORS) + 1))


@pytest.mark.parametrize("path", modules(), ids=named(modules()))
def test_imports_go_down_and_through_the_front_door(path: Path) -> None:
    own = member_of(path)
    for line, name in imports(path):
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        parts = name.split(".")[1:]
        if own == "":  # the package's own files point at the nouns of a script, and at the program
            assert not parts or parts[0] in {member for floor in FLOORS for member in floor}, where
            continue
        assert parts, f"{where}: name the module that holds it"
        target = parts[0]
        if target == own:
            continue
        if (PACKAGE / target).is_dir():
            assert len(parts) == 1, f"{where}: import from structure_net.{target} itself"
        first_floor = floor_of(own) == floor_of(target) == 0
        assert floor_of(target) < floor_of(own) or first_floor, f"{where}: not a lower floor"


def test_the_first_floor_has_no_circle() -> None:
    below = {
        member: {name.split(".")[1] for _, name in imports(PACKAGE / f"{member}.py")}
        for member in FLOORS[0]
    }
    while below:
        free = [member for member, needs in below.items() if not needs & below.keys()]
        assert free, f"a circle among {sorted(below)}"
        for member in free:
            del below[member]
