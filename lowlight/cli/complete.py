"""What makes a shell complete commands, options and the names of files."""

import argparse
from collections.abc import Mapping
from typing import Any

import shtab

from lowlight.cli import arguments

TAILS = {
    "bash": "\ncomplete -o default -o filenames -F _shtab_lowlight lowlight\n",
    "zsh": """
_lowlight() {
  _shtab_lowlight "$@"
  (( compstate[nmatches] )) || _files
}
compdef _lowlight lowlight
""",
}
"""By shell, what has names of photos completed where a command may stand, too."""


def script(shell: str, kinds: Mapping[str, type], default: type) -> str:
    """The script that a shell evaluates to complete the program's words.

    Parameters
    ----------
    shell : {"bash", "zsh"}
    kinds : mapping of str to type
        The dataclass of each command's settings.
    default : type
        The one of them whose options need no command.
    """
    program = argparse.ArgumentParser(prog="lowlight")
    added: list[Any] = arguments.add(program, default, positionals=False)
    commands = program.add_subparsers()
    for name, kind in kinds.items():
        added += arguments.add(commands.add_parser(name, help=name), kind)  # shtab leaves out those without help
    for action in added:
        if action.type is arguments.path:
            action.complete = shtab.FILE
    return shtab.complete(program, shell) + TAILS[shell]
