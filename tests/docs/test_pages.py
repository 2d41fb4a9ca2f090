"""What the pages show works: commands, Python, TOML, JSON, links."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from structure_net.cli import main
from structure_net.cli.app import application
from structure_net.cli.repeats import last_words
from structure_net.cli.tournament import given
from structure_net.errors import UsageError
from structure_net.schema import resolve
from tests.docs.blocks import PAGES, README, ROOT, Block, Command, blocks, commands

DOCS = ROOT / "docs"
RUN_PAGES = (README, DOCS / "tutorial.md", DOCS / "troubleshooting.md", DOCS / "configuration.md")

# Programs that are not ours: what they do is proved elsewhere (tests/setup), or by their makers.
FOREIGN = ("git", "pip", "pixi", ".", "./test", "cd")
# Appended to a command that starts a tournament, so that it ends in a second. The last word counts.
CAPS = [
    *("--limit-train", "200", "--tournament-size", "4", "--survivors", "1"),
    *("--generations", "1", "--epochs", "1", "--executor", "serial", "--quiet"),
]
LANGUAGES = {"sh", "python", "toml", "json", "text"}

ALL_COMMANDS = [command for page in PAGES for command in commands(page)]
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


def named(value: Block | Command) -> str:
    return f"{value.page.name}:{value.line}"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STRUCTURE_NET_")]:
        if name != "STRUCTURE_NET_CACHE":
            monkeypatch.delenv(name)


def test_the_blocks_are_of_known_languages_and_hold_commands() -> None:
    assert {block.language for block in ALL_BLOCKS} <= LANGUAGES
    assert len(ALL_COMMANDS) > 30


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=named)
def test_each_command_is_understood_as_written(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = command.arguments
    if arguments is None:
        assert command.words[0] in FOREIGN, f"{command}: which program is this?"
        return
    (tmp_path / "small.toml").write_text(toml_of("small.toml"))
    monkeypatch.chdir(tmp_path)
    for name, value in command.variables.items():
        monkeypatch.setenv(name, value)
    _, bound, _ = application().parse_args(
        last_words(arguments), print_error=False, exit_on_error=False
    )
    if command.starts_a_tournament:
        resolved = resolve(given(bound.kwargs["options"]) if bound.kwargs else None)
        assert resolved.config.tournament_size >= 2


def toml_of(name: str) -> str:
    """The TOML block whose first line names this file."""
    (found,) = [one for one in ALL_BLOCKS if one.text.startswith(f"# {name}\n")]
    return found.text


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the pages speak of: data, a finished run, a configuration."""
    place = tmp_path_factory.mktemp("pages")
    before = Path.cwd()
    os.chdir(place)
    points = np.random.default_rng(0).normal(0, 1, (300, 5))
    points[:, 4] = np.arange(300) % 3
    np.savetxt("points.csv", points, delimiter=",", fmt="%.4f")
    (place / "small.toml").write_text(toml_of("small.toml"))
    code = main(["tournament", "--quick", "--name", "first", *CAPS])
    assert code == 0
    yield place
    os.chdir(before)


@pytest.fixture
def in_workplace(workplace: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(workplace)
    yield workplace
    os.chdir(before)


def runs_of(page: Path) -> list[Command]:
    return [one for one in commands(page) if one.arguments is not None]


def capped(command: Command, number: int) -> list[str]:
    """The arguments as written, made small; each run gets a directory of its own."""
    arguments = list(command.arguments or [])
    if not command.starts_a_tournament:
        return arguments
    place = ["--out", f"runs/{command.page.stem}-{number}"]
    kept = last_words(arguments)
    if "--name" in kept:
        at = kept.index("--name")
        del kept[at : at + 2]
    if "--data-dir" in kept:
        at = kept.index("--data-dir")
        del kept[at : at + 2]
    config = next((kept[at + 1] for at, word in enumerate(kept) if word == "--config"), None)
    own_data = config is not None or {"--quick", "--dataset"} & set(kept)
    data = [] if own_data and "cifar10" not in kept else ["--dataset", "digits"]
    quiet = [word for word in CAPS if not ({"--json", "--quiet"} & set(kept) and word == "--quiet")]
    return [*kept, *place, *quiet, *data]


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run_to_their_end(
    page: Path, in_workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, tournaments made small; then no file is missing for the next."""
    made_by_python(page, in_workplace)
    for number, command in enumerate(runs_of(page)):
        arguments = capped(command, number)
        with monkeypatch.context() as around:
            for name, value in command.variables.items():
                around.setenv(name, value)
            expected = (0, 1) if arguments[0] == "doctor" else (0,)
            assert main(arguments) in expected, f"{command}"


def made_by_python(page: Path, place: Path) -> None:
    """The files that a page tells its reader to save, and those its first block writes."""
    for block in blocks(page):
        saved = re.match(r"# (\w+\.(?:py|toml))\n", block.text)
        if saved:
            (place / saved[1]).write_text(block.text)
    if page.name == "tutorial.md":
        maker = next(one for one in blocks(page) if "points.csv" in one.text)
        done = run_python(maker.text, place)
        assert done.returncode == 0, done.stderr


def run_python(text: str, place: Path) -> subprocess.CompletedProcess[str]:
    """A script of its own, as a reader would save it: worker processes import it again."""
    script = place / "script.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("page", [README, DOCS / "tutorial.md"], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_as_one_script(page: Path, workplace: Path) -> None:
    """Blocks in order, so that a later one may use what an earlier one made."""
    wanted = [
        block.text
        for block in blocks(page)
        if block.language == "python" and not re.match(r"# \w+\.py\n", block.text)
    ]
    assert wanted
    done = run_python("\n".join(wanted), workplace)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    "block", [one for one in ALL_BLOCKS if one.language in ("toml", "json")], ids=named
)
def test_data_blocks_are_well_formed(block: Block) -> None:
    read = tomllib.loads if block.language == "toml" else json.loads
    assert read(block.text)


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        assert "://" not in target, f"{link}: links stay inside the repository"
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name}: {link}"
        assert ROOT in path.parents
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {link}"


def test_the_readme_leads_to_every_page() -> None:
    linked = {(ROOT / link.split("#")[0]).resolve() for link in links(README)}
    assert {page for page in PAGES if page != README} <= linked


def test_the_commands_named_in_backquotes_exist() -> None:
    known = {name for name in application() if not name.startswith("-")}
    for page in PAGES:
        for words in re.findall(r"`structure-net ([^`]+)`", page.read_text()):
            assert words.split()[0] in known | {"RUN"}, f"{page.name}: {words}"


def test_a_wrong_command_would_be_noticed(tmp_path: Path) -> None:
    """The witness of the tests above: an option that does not exist is no silent pass."""
    page = tmp_path / "page.md"
    page.write_text("```sh\n./run --quick --no-such-option \\\n    --seed 1 # why\n```\n")
    (command,) = commands(page)
    assert command.arguments == ["tournament", "--quick", "--no-such-option", "--seed", "1"]
    assert main(command.arguments) == UsageError.exit_code
