"""Where the compiled kernels come from, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from structure_net.engine.native import PATHS, NoCompilerError, best_path, compilers, library


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of this test, and nothing remembered from others."""
    monkeypatch.setenv("STRUCTURE_NET_CACHE", str(tmp_path))
    library.load_library.cache_clear()


def test_the_best_path_is_one_that_the_processor_has() -> None:
    needs, _ = PATHS[best_path()]
    assert needs <= library.processor_flags()
    assert list(PATHS)[-1] == "portable"
    assert PATHS["portable"][0] == frozenset()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (set(), "portable"),
        ({"avx2"}, "portable"),
        ({"avx2", "fma"}, "avx2"),
        ({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx2", "fma"}, "avx512"),
    ],
)
def test_path_of_a_processor(
    flags: set[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "processor_flags", lambda: frozenset(flags))
    assert best_path() == expected


def test_compiled_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compilers():
        pytest.skip("needs a compiler")
    library.load_library("portable")
    (kept,) = (tmp_path / "native").glob("*.so")
    before = kept.stat().st_mtime_ns
    library.load_library.cache_clear()
    library.load_library("portable")
    assert [kept] == list((tmp_path / "native").iterdir())
    assert kept.stat().st_mtime_ns == before
    library.load_library.cache_clear()
    monkeypatch.setattr(library, "BASE_FLAGS", (*library.BASE_FLAGS, "-DOTHER"))
    library.load_library("portable")
    assert len(list((tmp_path / "native").glob("*.so"))) == 2


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "compilers", list)
    with pytest.raises(NoCompilerError, match=r"none found.*pip install ziglang.*--engine csr"):
        library.load_library("portable")


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "compilers", lambda: [[sys.executable, "-c", "raise SystemExit"]])
    monkeypatch.setattr(library, "BASE_FLAGS", ("-c", "no flag"))
    with pytest.raises(NoCompilerError, match="no compiler that works"):
        library.load_library("portable")


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_can_write_is_not_loaded_from(tmp_path: Path, mode: int) -> None:
    (tmp_path / "native").mkdir()
    os.chmod(tmp_path / "native", mode)
    with pytest.raises(NoCompilerError, match="can be written by others"):
        library.load_library("portable")


def test_two_processes_may_compile_at_once(tmp_path: Path) -> None:
    if not compilers():
        pytest.skip("needs a compiler")
    line = "from structure_net.engine.native import load_library; load_library('portable')"
    both = [subprocess.Popen([sys.executable, "-c", line]) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0]
    assert len(list((tmp_path / "native").iterdir())) == 1
