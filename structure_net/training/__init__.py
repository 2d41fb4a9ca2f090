"""Training a cohort, and the final look at the test part."""

from structure_net.training.classroom import Classroom
from structure_net.training.evaluate import evaluate_champion
from structure_net.training.observation import (
    PROBE_SAMPLES,
    measured,
    metric_facts,
    probe_rows,
)
from structure_net.training.paused import paused_file, paused_files, state_sha256
from structure_net.training.train import train

__all__ = [
    "PROBE_SAMPLES",
    "Classroom",
    "evaluate_champion",
    "measured",
    "metric_facts",
    "paused_file",
    "paused_files",
    "probe_rows",
    "state_sha256",
    "train",
]
