"""The command line: `main` returns an exit code, `entry` is the console script."""

from __future__ import annotations


def main(argv: list[str] | None = None) -> int:
    """Run one command; `argv` is without the program's name and defaults to `sys.argv[1:]`."""
    from structure_net.cli.app import main as run

    return run(argv)


def entry() -> None:
    """The console script `structure-net`."""
    raise SystemExit(main())


__all__ = ["entry", "main"]
