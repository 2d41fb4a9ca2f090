"""Errors that a user can act on, and the exit code each one ends the program with.

An error of this family is one paragraph: what was expected, what came, where, and what to do.
Anything else that reaches the command line is a defect of the program itself.
"""

from __future__ import annotations

DONE = 0
RUN_FAILED = 1
USAGE = 2
TOO_MANY_FAILURES = 3
TEMPORARY = 75  # sysexits.h EX_TEMPFAIL: the same command may work later
INTERRUPTED = 130
TERMINATED = 143


class StructureNetError(Exception):
    """Base of every error whose message is meant for the user; `exit_code` ends the program."""

    exit_code: int = RUN_FAILED


class UsageError(StructureNetError):
    """A command line, configuration value or file that cannot be used as given."""

    exit_code = USAGE


class DataError(UsageError):
    """A dataset that is missing, malformed or not the one that was expected."""


class ModelFileError(UsageError):
    """A saved network that cannot be trusted: wrong hash, shape, version or structure."""


class RunFailedError(StructureNetError):
    """The run itself could not go on; what was done so far is stored."""

    exit_code = RUN_FAILED


class TemporaryError(StructureNetError):
    """The same command may work later: the run is locked by another process, the disk is full."""

    exit_code = TEMPORARY


class InvalidGenomeError(StructureNetError):
    """A genome or an edit that breaks a bound; operators draw again, a trial fails `invalid`."""
