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
    "fish": "\ncomplete -c lowlight --force-files\n",
}
"""By shell, what has names of photos completed where a command may stand, too; for zsh, also what has a command's own
options completed alone: shtab's go on with those of the same names that need no command."""


def script(shell: str, kinds: Mapping[str, tuple[type, str]], default: type) -> str:
    """The script that a shell evaluates to complete the program's words.

    Parameters
    ----------
    shell : str
        One of `TAILS`.
    kinds : mapping of str to (type, str)
        The dataclass of each command's settings, and what the command does; of that, the first paragraph is shown.
    default : type
        The one of them whose options need no command.
    """
    program = argparse.ArgumentParser(prog="lowlight")
    added: list[Any] = arguments.add(program, default, positionals=False)
    commands = program.add_subparsers()
    for name, (kind, purpose) in kinds.items():
        added += arguments.add(commands.add_parser(name, help=purpose.partition("\n\n")[0]), kind)
    for action in added:
        if action.type in (arguments.path, str):  # a model is text, and may be a path
            action.complete = shtab.FILE
    return shtab.complete(program, shell) + TAILS[shell]
