"""The main job under its first name: the same as `run_stress_test.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("structure_net") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from structure_net.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["tournament", *sys.argv[1:]]))
