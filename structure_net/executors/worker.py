"""The inside of a worker process: cohorts come in through a pipe, events go out."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import traceback
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

READY, DONE, EVENT, PROBLEM, STOP = b"ready", b"done", b"event ", b"problem ", b"stop"


def work(pipe: Connection, plan: str, device: str, visible: str, name: str, log: str) -> None:
    """Serve until told to stop, or until the coordinator is gone.

    `device` is as torch names it inside this process; `visible` limits CUDA to one device.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the coordinator's
    _redirect(Path(log))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if visible:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible

    import torch

    from structure_net.plugins import load_plugins
    from structure_net.schema import Cohort, TrainingPlan
    from structure_net.training import Classroom

    torch.set_num_threads(1)
    shared = TrainingPlan.model_validate_json(plan)
    load_plugins(shared.plugins)  # strategies of the user are looked up here
    room = Classroom.open(shared, device, name)
    pipe.send_bytes(READY)
    while (message := pipe.recv_bytes()) != STOP:
        _train(pipe, Cohort.model_validate_json(message), room)
        pipe.send_bytes(DONE)


def _train(pipe: Connection, cohort: object, room: object) -> None:
    from structure_net.executors.serial import failure_of, said
    from structure_net.schema import Cohort, event_line
    from structure_net.training import Classroom, train

    assert isinstance(cohort, Cohort)
    assert isinstance(room, Classroom)
    try:
        for event in train(cohort, room):
            pipe.send_bytes(EVENT + event_line(event).encode())
    except Exception as problem:
        said_so = [failure_of(problem), said(problem), traceback.format_exc()]
        pipe.send_bytes(PROBLEM + json.dumps(said_so).encode())


def _redirect(log: Path) -> None:
    """Whatever this process or a native library prints goes to its own file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(sys.stderr)


def _end_with_parent() -> None:
    """A spawned child outlives a killed parent; this one does not."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
