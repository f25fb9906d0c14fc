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
  local own=_shtab_lowlight_${words[2]}_options
  if (( CURRENT > 2 && ${+parameters[$own]} )); then
    shift words
    (( CURRENT -= 1 ))
    _arguments -C -s ${(P)own}
  else
    _shtab_lowlight "$@"
  fi
  (( compstate[nmatches] )) || _files
}
compdef _lowlight lowlight
""",
}
"""By shell, what has names of photos completed where a command may stand, too; for zsh, also what has a command's own
options completed alone: shtab's go on with those of the same names that need no command."""


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
    commands.add_parser("completion", help="completion").add_argument("shell", choices=tuple(TAILS))
    for action in added:
        if action.type is arguments.path:
            action.complete = shtab.FILE
    return shtab.complete(program, shell) + TAILS[shell]
