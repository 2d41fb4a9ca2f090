"""`python -m structure_net` is `structure-net`."""

from structure_net.cli import entry

if __name__ == "__main__":
    entry()
