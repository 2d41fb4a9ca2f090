"""The main job, a tournament, from a checkout: the same as `structure-net tournament`."""

from __future__ import annotations

import sys

from structure_net.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["tournament", *sys.argv[1:]]))
