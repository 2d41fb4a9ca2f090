"""Plug-ins: what loads, what is refused and in which words, and that nothing bad stays."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from structure_net.cli import main
from structure_net.errors import UsageError
from structure_net.plugins import MODULE, load_plugins, place_in_plugin
from structure_net.registry import Registry

GOOD = "import shapes\nshapes.SHAPES.register('mine')(1)\n"


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    """A family that plug-ins reach as `shapes.SHAPES`, with one member; forgotten after a test."""
    family: Registry[Any] = Registry("shape")
    family.register("round")(0)
    module = type(sys)("shapes")
    module.SHAPES = family  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shapes", module)
    return family


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def modules() -> list[str]:
    return [name for name in sys.modules if name.startswith(MODULE)]


def test_a_file_is_run_once_for_each_content(
    tmp_path: Path, shapes: Registry[Any], registries: None
) -> None:
    first = written(tmp_path, GOOD)
    (loaded,) = load_plugins([first], [shapes])
    assert shapes.get("mine") == 1
    assert loaded.content == GOOD.encode()
    copy = written(tmp_path, GOOD, "copy.py")
    assert load_plugins([copy, copy, first], [shapes])[0].sha256 == loaded.sha256
    assert list(shapes) == ["round", "mine"]


def test_classes_of_a_plug_in_know_their_module(
    tmp_path: Path, shapes: Registry[Any], registries: None
) -> None:
    text = (
        "from __future__ import annotations\nimport dataclasses, shapes\n"
        "@dataclasses.dataclass(frozen=True)\nclass Ring:\n    width: int = 3\n"
        "shapes.SHAPES.register('ring')(Ring())\n"
    )
    load_plugins([written(tmp_path, text)], [shapes])
    assert shapes.get("ring").width == 3
    assert sys.modules[type(shapes.get("ring")).__module__].__file__ == str(tmp_path / "mine.py")


BEGUN = "import shapes\nshapes.SHAPES.register('half')(1)\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["registers nothing", "FITNESS.register", "shape"]),
        ("import shapes\nshapes.SHAPES.register\n", ["registers nothing"]),
        ("a = 1\ndef f(:\n", ["is not valid Python, line 2"]),
        ("a = '\0'", ["is not valid Python"]),
        (BEGUN + "1 / 0\n", ["mine.py, line 3", "ZeroDivisionError: division by zero."]),
        (BEGUN + "eval('1 +')\n", ["mine.py, line 3", "SyntaxError: "]),
        (BEGUN + "import no_such_part\n", ["mine.py, line 3", "No module named 'no_such_part'"]),
        (BEGUN + "shapes.SHAPES.register('Round')(2)\n", ["line 3", "'Round' is registered twice"]),
        (BEGUN + "@shapes.SHAPES.register\ndef f(): 0\n", ["line 3", "a name in quotes"]),
        (BEGUN + "shapes.SHAPES.register('x', weight=0)\n", ["line 3", "weight 0; it must be"]),
        (BEGUN + "def f():\n    missing\nf()\n", ["line 4", "NameError: name 'missing'"]),
    ],
)
def test_a_bad_file_is_told_in_a_sentence_and_leaves_nothing(
    text: str, words: list[str], tmp_path: Path, shapes: Registry[Any]
) -> None:
    with pytest.raises(UsageError) as told:
        load_plugins([written(tmp_path, text)], [shapes])
    assert [word for word in ["mine.py", *words] if word not in str(told.value)] == []
    assert list(shapes) == ["round"]
    assert modules() == []


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none.py", "does not exist"),
        (tmp_path, "is no file"),
        (written(tmp_path, "#" * 1_000_001), "1000001 bytes"),
    ):
        with pytest.raises(UsageError, match=words):
            load_plugins([path])


def test_several_are_given_one_by_one_or_in_a_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["--plugin", "a.py", "--plugin", "b.py"], ["--plugin", "a.py,b.py"]):
        assert main(["config", "show", "--json", *words]) == 0
        assert json.loads(capsys.readouterr().out)["plugin"]["value"] == ["a.py", "b.py"]


def test_two_of_one_name_that_differ_are_refused(tmp_path: Path, shapes: Registry[Any]) -> None:
    (tmp_path / "other").mkdir()
    both = [written(tmp_path, GOOD), written(tmp_path / "other", GOOD + "#")]
    with pytest.raises(UsageError, match=r"Two plug-ins are named mine\.py"):
        load_plugins(both, [shapes])
    assert modules() == []


def test_an_exit_in_a_file_is_no_sentence_but_leaves_nothing(
    tmp_path: Path, shapes: Registry[Any]
) -> None:
    with pytest.raises(SystemExit):
        load_plugins([written(tmp_path, BEGUN + "raise SystemExit(4)\n")], [shapes])
    assert list(shapes) == ["round"]
    assert modules() == []


def test_a_mistake_at_work_is_put_down_to_its_plug_in(
    tmp_path: Path, shapes: Registry[Any], registries: None
) -> None:
    text = "import shapes\n@shapes.SHAPES.register('f')\ndef f(x):\n    return 1 / x\n"
    path = written(tmp_path, text)
    load_plugins([path], [shapes])
    with pytest.raises(ZeroDivisionError) as told:
        shapes.get("f")(0)
    assert place_in_plugin(told.value) == f"{path}, line 4"
    assert place_in_plugin(ValueError("elsewhere")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:", "is not valid Python, line 1"),
        ("from structure_net import FITNESS\nFITNESS.register('Seed')(len)\n", "registered twice"),
        ("x = 1", "registers nothing"),
    ],
)
def test_the_program_ends_with_2_before_it_makes_anything(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], registries: None
) -> None:
    out = tmp_path / "run"
    plugin = written(tmp_path, text)
    assert main(["tournament", "--quick", "--out", str(out), "--plugin", str(plugin)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_families_hold_the_plugins_of_the_last_load_alone(
    tmp_path: Path, shapes: Registry[Any], registries: None
) -> None:
    """What a file registered goes when it is not asked for, and comes back without a second run."""
    text = "import shapes\nshapes.SHAPES.register({!r}, weight={})({})\n"
    first = written(tmp_path, text.format("a", 0.5, "object()"), "first.py")
    second = written(tmp_path, text.format("b", 2, "len"), "second.py")
    load_plugins([first], [shapes])
    once = shapes.get("a")
    for wanted, names in (([first], "a"), ([second], "b"), ([], ""), ([second, first], "ba")):
        load_plugins(wanted, [shapes])
        assert list(shapes) == ["round", *names]
    assert shapes.get("a") is once
    assert shapes.weights == {"b": 2, "a": 0.5}
    load_plugins([])  # no family is named, so none is touched
    assert list(shapes) == ["round", "b", "a"]
