"""Every random draw of a run, derived from its seed and a path that names the purpose.

There is no generator to save or restore: `derive(7, "batches", 2, 5)` is the same stream in every
process, at every time, in any order. Two paths never share a stream: the key is SHA-256 of the
path, the generator counter-based (Philox; Salmon et al. 2011).
"""

from __future__ import annotations

import hashlib

import numpy as np

PathPart = str | int


def _digest(seed: int, path: tuple[PathPart, ...]) -> bytes:
    """SHA-256 of an unambiguous spelling: each part carries its type and length."""
    parts = [f"i{seed}"] + [f"{'s' if isinstance(part, str) else 'i'}{part}" for part in path]
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()


def derive(seed: int, *path: PathPart) -> np.random.Generator:
    """A fresh generator for the purpose that `path` names."""
    words = np.frombuffer(_digest(seed, path)[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=words))


def derive_seed(seed: int, *path: PathPart) -> int:
    """A seed in [0, 2^63) for everything below `path`, to be handed on as one number."""
    return int.from_bytes(_digest(seed, path)[16:24], "big") >> 1
