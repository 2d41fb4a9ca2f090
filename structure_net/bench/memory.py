"""Memory of the process that runs a tournament, against the number of its trials."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from structure_net.errors import RunFailedError


def parent_peak_bytes(competitors: int, generations: int, dataset: str = "digits") -> int:
    """Largest resident bytes of a fresh process that runs such a tournament of one epoch a
    trial; its workers are not counted."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, competitors, generations, dataset))
    process.start()
    theirs.close()
    try:
        return int(pipe.recv())
    except EOFError as problem:
        raise RunFailedError("The measured tournament ended; its words stand above.") from problem
    finally:
        process.terminate()
        process.join()
        pipe.close()


def _run(pipe: Connection, competitors: int, generations: int, dataset: str) -> None:
    from structure_net.schema import resolve
    from structure_net.tournament import start

    with tempfile.TemporaryDirectory() as folder:
        resolved = resolve(
            preset="quick",
            tournament_size=competitors,
            generations=generations,
            epochs_per_generation=1,
            dataset=dataset,
            device="cpu",
            workers=1,
            out=Path(folder) / "run",
        )
        tournament = start(resolved)
        with closing(tournament), closing(tournament.run()) as events:
            for _ in events:
                pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # KiB on Linux, bytes on macOS.
    pipe.send(peak if sys.platform == "darwin" else peak * 1024)
