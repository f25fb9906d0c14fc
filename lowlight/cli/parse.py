"""Settings from the words of the command line."""

import contextlib
import io
import itertools
import re
from typing import TypeVar

import tyro

from lowlight.errors import UserError
from lowlight.system import EXIT_USAGE

Settings = TypeVar("Settings")


def parse(kind: type[Settings], description: str | None) -> Settings:
    """Settings of one kind (a dataclass) from the command line.

    Raises
    ------
    UserError
        If the words are none of its options, or their values are not of the kinds that they must be.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind, description=description, config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
            )
    except SystemExit as end:
        if end.code == EXIT_USAGE:
            raise UserError(_without_box(said.getvalue())) from None
        raise


def _without_box(message) -> str:
    """The first paragraph of what tyro says in a box, and the option that it takes for the one that was meant."""
    lines = [line.strip(" │") for line in re.sub(r"[╭╮╰╯]", "│", message).splitlines()]
    text = " ".join(itertools.takewhile(lambda line: line and not line.startswith("─"), lines[1:]))
    meant = re.search(r"Perhaps you meant:\s+(--[\w-]+)", " ".join(lines))
    return f"{text.rstrip('.')}. {f'Perhaps you meant {meant[1]}. ' if meant else ''}See --help."
