"""The `greenroom` command, also as `python -m greenroom.node`.

The command line imports for half a second, in which a person may well press Ctrl+C. So this module
imports next to nothing, and `cli` only where an interrupt is expected.
"""

import sys

INTERRUPTED = 130  # what a shell expects of a program that SIGINT ended


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from greenroom.node.cli import main as run  # noqa: PLC0415  # see above

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
