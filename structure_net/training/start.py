"""Before the first step: starting weights fitted to the data, where the run asks for them."""

from __future__ import annotations

from structure_net.engine import Learner
from structure_net.genome import forward_flop
from structure_net.networks import lsuv
from structure_net.schema import Trial
from structure_net.training.classroom import Classroom
from structure_net.training.observation import probe_set


def fitted_to_data(learner: Learner, trial: Trial, room: Classroom) -> int:
    """With `initialisation = "lsuv"`, fits a network of drawn weights to the probe set of its
    generation; one that goes on from its parents' weights stays as it is. Returns its cost in
    FLOP: a forward pass of each sample."""
    if room.plan.initialisation != "lsuv" or trial.inherits is not None:
        return 0
    inputs = probe_set(room, trial.generation).inputs
    lsuv(learner.network, inputs)
    return len(inputs) * forward_flop(trial.genome)
