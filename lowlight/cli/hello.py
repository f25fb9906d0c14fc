"""The first line, shown before anything that takes time is loaded."""

import sys
from collections.abc import Sequence

SILENT = {"-q", "--quiet", "-h", "--help", "--version", "--list-models", "-", "models", "completion"}
"""Words after which the answer comes at once, or nothing but the answer is wanted."""


def greet(words: Sequence[str]) -> None:
    """Tell a person who waits at a terminal that the command was heard; other programs are told nothing."""
    if sys.stderr.isatty() and not SILENT.intersection(words):
        from lowlight import __version__

        print(f"lowlight {__version__}", file=sys.stderr, flush=True)
