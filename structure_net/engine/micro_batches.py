"""Fewer samples at a time when memory runs out: the same update, computed in parts."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch

from structure_net.networks import Network

T = TypeVar("T")

# What torch says when an allocation fails without the class OutOfMemoryError: on a processor under
# Linux, under Windows, in CUDA's own libraries.
SAID_WITHOUT_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an allocation failed: Python's, torch's on a device, torch's on the processor."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(problem)
    return isinstance(problem, RuntimeError) and any(said in text for said in SAID_WITHOUT_MEMORY)


def wanted_bytes(problem: BaseException) -> int | None:
    """How much the failed allocation asked for, where its message tells."""
    found = re.search(r"ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", str(problem))
    return int(float(found[1]) * UNITS[found[2]]) if found else None


def free_unused() -> None:
    """Hand memory that nothing refers to back to the device and to the operating system."""
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where CUDA is absent or unused
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`; other C libraries have none."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim


@dataclass(frozen=True)
class Reduction:
    """From now on this network takes `after` samples at a time, no longer `before`."""

    network: Network
    before: int
    after: int
    wanted_bytes: int | None


class MicroBatches:
    """How many samples each network of an engine takes at a time: whole batches, until memory runs
    out. A smaller number stays for good. `first` is what to begin with, None for whole batches."""

    def __init__(self) -> None:
        self.first: int | None = None
        self._sizes: WeakKeyDictionary[Network, int] = WeakKeyDictionary()
        self._reductions: list[Reduction] = []

    def size(self, network: Network) -> int | None:
        """Samples that this network takes at a time at most; None for whole batches."""
        return self._sizes.get(network, self.first)

    def fitting(
        self, networks: Sequence[Network], samples: int, attempt: Callable[[list[slice]], T]
    ) -> T:
        """The value of `attempt(parts)` with parts of a batch of `samples` that memory allows.

        When it raises out-of-memory, everything it held is freed and it is called again with parts
        half as large; `attempt` must not have changed anything by then. At parts of one sample the
        error goes on. `networks` take their parts together.
        """
        while True:
            own = [size for one in networks if (size := self.size(one)) is not None]
            size = min([*own, samples])
            parts = [slice(start, min(start + size, samples)) for start in range(0, samples, size)]
            try:
                return attempt(parts)
            except (MemoryError, RuntimeError) as problem:
                if not is_out_of_memory(problem) or size == 1:
                    raise
                wanted = wanted_bytes(problem)
            # Here, not above: while the error is being handled it holds the tensors of the attempt.
            free_unused()
            for network in networks:
                self._sizes[network] = size // 2
                self._reductions.append(Reduction(network, size, size // 2, wanted))

    def take_reductions(self) -> list[Reduction]:
        """What was reduced since this was last asked."""
        taken, self._reductions = self._reductions, []
        return taken
