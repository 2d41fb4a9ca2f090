"""The compiled kernels: found in the package, else compiled here once, in a private folder.

A library is named by its source, the compiler's version and its flags, so a change of any of them
compiles anew. It is loaded only from a folder that belongs to this user and that nobody else can
write; the compiler is called without a shell.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from structure_net.errors import StructureNetError
from structure_net.files import cache_root

SOURCE = Path(__file__).with_name("kernels.cpp")
BASE_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-fno-math-errno", "-Wno-psabi")
# What each path needs of the processor, the fastest first, and how it is compiled.
_AVX512 = ("avx512f", "avx512bw", "avx512vl", "avx512dq", "fma")
_AVX512_FLAGS = (*(f"-m{name}" for name in _AVX512), "-mprefer-vector-width=512")
PATHS: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "avx512vnni": (frozenset({*_AVX512, "avx512_vnni"}), (*_AVX512_FLAGS, "-mavx512vnni")),
    "avx512": (frozenset(_AVX512), _AVX512_FLAGS),
    "avx2": (frozenset({"avx2", "fma"}), ("-mavx2", "-mfma")),
    "portable": (frozenset(), ()),
}
COMPILE_SECONDS = 300  # 2 s by g++; ziglang builds its own standard library first, 45 s


class NoCompilerError(StructureNetError):
    """The kernels are neither in the package nor can they be compiled here."""


@cache
def processor_flags() -> frozenset[str]:
    """What the processor can do, as Linux names it; empty where that cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = [line.split(":")[1].split() for line in lines if line.startswith("flags")]
    return frozenset(flags[0]) if flags else frozenset()


def best_path() -> str:
    """The fastest path that this processor can take."""
    return next(name for name, (needs, _) in PATHS.items() if needs <= processor_flags())


def compilers() -> list[list[str]]:
    """Commands that may compile C++ here, the user's own choice first, one from pip last."""
    named = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    found = [[path] for name in named if name and (path := shutil.which(name))]
    if importlib.util.find_spec("ziglang") is not None:
        found.append([sys.executable, "-m", "ziglang", "c++"])
    return found


@cache
def load_library(path: str | None = None) -> ctypes.CDLL:
    """The kernels for `path`, the best one if None; NoCompilerError where they cannot be had."""
    path = path or best_path()
    packaged = SOURCE.with_name(f"kernels-{path}.so")
    if packaged.exists():
        return ctypes.CDLL(str(packaged))
    problems = []
    for compiler in compilers():
        try:
            return ctypes.CDLL(str(_compiled(compiler, path)))
        except (OSError, subprocess.SubprocessError) as problem:
            problems.append(f"{compiler[-1]}: {_words_of(problem)}")
    raise NoCompilerError(
        "The native engine has no compiled kernels for this machine and no compiler that works "
        f"({'; '.join(problems) or 'none found'}). Install g++ or `pip install ziglang`, or use "
        "--engine csr."
    )


def _words_of(problem: Exception) -> str:
    output = getattr(problem, "stderr", None)
    return (
        (output or str(problem)).strip().splitlines()[0][:200] if (output or str(problem)) else ""
    )


def _compiled(compiler: list[str], path: str) -> Path:
    flags = [*BASE_FLAGS, *PATHS[path][1]]
    version = subprocess.run(
        [*compiler, "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    content = SOURCE.read_bytes() + "\0".join([*compiler, version, *flags]).encode()
    folder = _private_folder(cache_root() / "native")
    library = folder / f"{hashlib.sha256(content).hexdigest()[:24]}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as spare:
            built = Path(spare) / "kernels.so"
            subprocess.run(
                [*compiler, *flags, str(SOURCE), "-o", str(built)],
                capture_output=True,
                text=True,
                timeout=COMPILE_SECONDS,
                check=True,
            )
            os.replace(built, library)  # two processes may compile at once; both results are equal
    _check_own(library)
    return library


def _private_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_own(folder)
    return folder


def _check_own(path: Path) -> None:
    """What is loaded is code: it must be this user's, and nobody else may write it."""
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"{path} belongs to another user or can be written by others")
