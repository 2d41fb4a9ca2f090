"""Pre-registration: a file that fixes a claim before its confirming run."""

from __future__ import annotations

import hashlib
import json
import re
import time
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from structure_net.environment import VERSION
from structure_net.errors import UsageError
from structure_net.files import atomic_write
from structure_net.schema import Given, explain
from structure_net.studies.plan import ARM_NAME, AVERAGE, Arm, Outcome, Plan, seeds_of
from structure_net.studies.statistics import MINIMUM_PAIRS

LARGEST_FILE = 1_000_000  # bytes
# What a study decides itself, seed by seed.
RESERVED = ("seed", "out", "name", "max_cost", "retrain")


class StudyFile(BaseModel):
    """The content of a study's file. `scale` holds configuration values of all arms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{ARM_NAME}$")
    claim: str = Field(min_length=1)
    outcome: Outcome
    margin: float = Field(ge=0)
    analysis: Literal["wilcoxon-holm"]
    reference: str
    retrain: int = Field(default=5, ge=0, le=1000)
    equal_cost: bool = True
    tuning_seeds: str = "0-9"
    confirming_seeds: str = "100-109"
    scale: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]] = Field(min_length=2)


def read_study(path: Path) -> tuple[StudyFile, str]:
    """A study's file and the SHA-256 of its bytes; UsageError where it is none."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path} has more than {LARGEST_FILE} bytes. Is it the right file?")
        content = path.read_bytes()
        values = tomllib.loads(content.decode())
    except OSError as problem:
        raise UsageError(f"The study {path} cannot be read: {problem.strerror}.") from problem
    except (ValueError, RecursionError) as problem:  # TOMLDecodeError, UnicodeDecodeError
        raise UsageError(f"The study {path} is not valid TOML: {problem}.") from problem
    try:
        study = StudyFile.model_validate(values)
    except ValidationError as problem:
        names = dict.fromkeys(StudyFile.model_fields, f"file {path}")
        raise UsageError(explain(problem, names)) from problem
    _check(study, path)
    return study, hashlib.sha256(content).hexdigest()


def _check(study: StudyFile, path: Path) -> None:
    for name in study.arms:
        if not re.fullmatch(ARM_NAME, name) or name == AVERAGE:
            raise UsageError(
                f"{path}: {name[:80]!r} cannot name an arm: letters, digits, _ + - only, at most "
                f"40 of them, and not {AVERAGE!r}."
            )
    if study.reference not in study.arms:
        raise UsageError(
            f"{path}: the reference {study.reference!r} is none of the arms "
            f"{', '.join(study.arms)}."
        )
    for where, values in (("scale", study.scale), *study.arms.items()):
        taken = [name for name in RESERVED if name in values]
        if taken:
            raise UsageError(
                f"{path}: {taken[0]} in {where} is decided by the study itself; leave it out."
            )
    both = set(seeds_of(study.tuning_seeds)) & set(seeds_of(study.confirming_seeds))
    if both:
        raise UsageError(
            f"{path}: seed {min(both)} is used both to tune and to confirm. Choose confirming "
            f"seeds that nothing was tuned on, such as 100-109."
        )


def planned(path: Path, directory: Path | None = None, *, confirm: bool) -> Plan:
    """The plan of a study's file: on its tuning seeds, or on its confirming ones."""
    study, digest = read_study(path)
    seeds = seeds_of(study.confirming_seeds if confirm else study.tuning_seeds)
    if confirm and len(seeds) < MINIMUM_PAIRS:
        raise UsageError(
            f"{path} confirms on {len(seeds)} seeds; a claim needs at least {MINIMUM_PAIRS}."
        )
    phase = "confirming" if confirm else "tuning"
    base = directory if directory is not None else Path("runs") / f"study_{study.name}"
    ordered = sorted(study.arms, key=lambda name: name != study.reference)
    return Plan(
        name=study.name,
        given=Given(study.scale, dict.fromkeys(study.scale, f"file {path}")),
        arms=tuple(Arm(name, study.arms[name]) for name in ordered),
        seeds=seeds,
        directory=base / phase,
        retrain=study.retrain,
        outcome=study.outcome,
        margin=study.margin,
        equal_cost=study.equal_cost,
        facts={"phase": phase, "claim": study.claim, "analysis": study.analysis, "sha256": digest},
    )


def registration_of(path: Path) -> Path:
    """Where the first confirming run of a study's file is noted: beside it, to be committed."""
    return path.with_name(f"{path.stem}.registered.json")


def register(path: Path, plan: Plan) -> Path:
    """Note a confirming run before it begins; UsageError where the file changed since the first.

    `confirming_runs` counts the starts, so that none stays untold.
    """
    note = registration_of(path)
    digest = plan.facts["sha256"]
    told = _noted(note)
    if told is None:
        told = {
            "study": plan.name,
            "sha256": digest,
            "seeds": list(plan.seeds),
            "first": time.strftime("%Y-%m-%d %H:%M:%S"),
            "version": VERSION,
            "confirming_runs": 0,
        }
    if told["sha256"] != digest:
        raise UsageError(
            f"{path} changed after its first confirming run ({told['first']}, noted in {note}). "
            f"Restore it, or register the change as a study of its own: another file with other "
            f"confirming seeds."
        )
    told["confirming_runs"] += 1
    try:
        atomic_write(note, (json.dumps(told, indent=2) + "\n").encode())
    except OSError as problem:
        raise UsageError(
            f"The confirming run cannot be noted in {note}: {problem.strerror}. It must be: make "
            f"the folder writable."
        ) from problem
    return note


def _noted(note: Path) -> dict[str, Any] | None:
    if not note.exists():
        return None
    try:
        told = json.loads(note.read_text())
        known = {"sha256": str, "first": str, "confirming_runs": int}
        if all(isinstance(told[name], kind) for name, kind in known.items()):
            return dict(told)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UsageError(f"{note} cannot be read: {problem}. Restore it.") from problem
    raise UsageError(f"{note} is damaged. Restore it.")
