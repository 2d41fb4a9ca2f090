"""No input whatever gives a traceback: options, environment, TOML text, files as paths."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structure_net.cli import main
from structure_net.cli.fields import fields, keys, option_names

COMMON = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
OPTIONS = ["--" + name for field in fields() for name in option_names(field)]
VALUES = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["", "-1", "0", "1", "true", "off", "COSINE", "cuda:1", "1e999", "0x10", "[]"]),
    st.sampled_from(
        ["{}", '{"a": 1}', "--", "-", "=", ",", ";", "9" * 5000, "\0", "\ud800", "e\n"]
    ),
)
WORDS = st.one_of(
    st.sampled_from(OPTIONS),
    st.sampled_from(["--quick", "--full", "--json", "--quiet", "--no-growth", "--growth", "-h"]),
    VALUES,
)


def run(arguments: list[str]) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return code, err.getvalue()


def check(code: int, error: str) -> None:
    assert code in (0, 2, 75)
    assert "Traceback" not in error
    assert "defect" not in error
    assert error.count("\n") == (0 if code == 0 else 1)
    assert all(letter.isprintable() for letter in error.rstrip("\n"))
    assert len(error) < 2000


@COMMON
@given(st.lists(WORDS, max_size=8))
def test_options(words):
    check(*run(["config", "show", *words]))


@COMMON
@given(st.sampled_from(OPTIONS), VALUES)
def test_one_option_and_any_value(option, value):
    check(*run(["config", "show", option, value]))
    check(*run(["config", "show", f"{option}={value}"]))


@COMMON
@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_words_at_all(words):
    with contextlib.suppress(ValueError):
        words.remove("--install-completion")
    check(*run(words))


@COMMON
@given(
    st.dictionaries(
        st.one_of(st.sampled_from([key.upper().replace(".", "_") for key in keys()]), st.text()),
        VALUES,
        max_size=4,
    )
)
def test_environment(variables):
    around = {f"STRUCTURE_NET_{name}": value for name, value in variables.items()}
    with mock.patch.object(os, "environ", {**os.environ, **around}):
        check(*run(["config", "show"]))


TOML_VALUES = st.one_of(
    st.sampled_from(["true", "false", "nan", "-inf", "1e400", "{}", "[[1]]", "[{}]", '""', "''"]),
    st.sampled_from(["1979-05-27", "07:32:00", "0xffffffffffffffffffff", "[true, 1]", '"\\ud800"']),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(st.characters(codec="utf-8"), max_size=8),
)


@COMMON
@given(st.lists(st.tuples(st.sampled_from([*keys(), "space", "x"]), TOML_VALUES), max_size=4))
def test_toml_entries(tmp_path, entries):
    (tmp_path / "c.toml").write_text(
        "".join(f"{key} = {value}\n" for key, value in entries), encoding="utf-8"
    )
    check(*run(["config", "check", "c.toml"]))


@COMMON
@given(st.binary(max_size=60))
def test_any_bytes_as_a_file(tmp_path, content):
    (tmp_path / "c.toml").write_bytes(content)
    check(*run(["config", "check", "c.toml"]))
    check(*run(["config", "show", "--config", "c.toml"]))


@pytest.fixture
def odd_paths(tmp_path: Path) -> list[str]:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 34)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "fifo")
    for name in ("empty", "binary"):
        (tmp_path / f"run_{name}").mkdir()
        (tmp_path / f"run_{name}" / "run.db").write_bytes((tmp_path / name).read_bytes())
    own = [str(path) for path in sorted(tmp_path.iterdir())]
    return [*own, "", ".", "/", "/dev/zero", "/dev/full", "/proc/self/mem", "x" * 5000, "none", "~"]


@pytest.mark.parametrize(
    "command",
    [
        ["config", "check"],
        ["config", "show", "--config"],
        ["show"],
        ["show", "--json"],
        ["show", "--config"],
        ["resume"],
    ],
)
def test_any_path(command, odd_paths):
    for path in odd_paths:
        code, error = run([*command, path])
        check(code, error)
        is_empty_config = path.endswith("/empty") and "show" != command[0] != "resume"
        assert code == (0 if is_empty_config else 2), path


@pytest.mark.parametrize("word", ["z" * 300_000, "--" + "z" * 300_000, "ü" * 100_000])
def test_huge_words(word):
    for arguments in ([word], ["config", "show", word], ["config", "show", "--dataset", word]):
        check(*run(arguments))
