"""What makes a shell complete commands, options and the names of files."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Mapping
from typing import Annotated, Any, Union

import tyro

TAILS = {
    "bash": """
_lowlight() {
  local found
  _tyro_lowlight
  [[ -n "${COMPREPLY[*]}" ]] || COMPREPLY=()  # nothing of ours: the shell completes names of files
  for found in "${COMPREPLY[@]}"; do
    [[ ! -e "$found" ]] || compopt -o filenames
  done
}
complete -o default -F _lowlight lowlight
""",
    "zsh": """
_lowlight() {
  _tyro_lowlight "$@" || _files
}
compdef _lowlight lowlight
""",
}
"""By shell, what follows the function that tyro writes: it completes no names of photos."""

START = re.compile(r'^typeset -A opt_args\n_tyro_lowlight "\$@"\n', re.MULTILINE)
"""What calls that function at once, which only a file that zsh finds by itself may do."""

SPEC = re.compile(r"^COMPLETION_SPEC = .*$", re.MULTILINE)


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
    commands = tuple(Annotated[kind, tyro.conf.subcommand(name, prefix_name=False)] for name, kind in kinds.items())
    command: Any = Union[commands]  # noqa: UP007
    fields = [("command", command, dataclasses.field(kw_only=True))]
    everything = dataclasses.make_dataclass("Everything", fields, bases=(default,), frozen=True)
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
        tyro.cli(
            everything,
            prog="lowlight",
            args=["--tyro-print-completion", shell],
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    # Each line of an option's help would else be taken for a word to complete.
    text = SPEC.sub(lambda spec: spec[0].replace(r"\n", " "), START.sub("", written.getvalue()))
    return text + TAILS[shell]
