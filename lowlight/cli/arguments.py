"""A parser of command lines from a dataclass of settings; the text under a field is its help."""

import argparse
import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import re
import textwrap
import types
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from lowlight.errors import UserError
from lowlight.settings import Argument, option

EXPONENTIAL = re.compile(r"-(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,2}")
"""A negative number with an exponent."""

HELP_WIDTH = 100
"""Of lines of help, in characters, at most."""


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are raised as one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises
        ------
        UserError
            Always.
        """
        message = message.replace("ignored explicit argument", "it takes no value (in a file true or false). Received:")
        raise UserError(f"{message[:1].upper()}{message[1:].rstrip('.')}. See --help.")

    def told(self, words: Sequence[str]) -> dict[str, Any]:
        """What words say, by the fields' names; fields that they leave out are not in it.

        Parameters
        ----------
        words : sequence of str
            Of a command line; those after -- are no options.

        Raises
        ------
        UserError
            If they name no option, or a value is not of the kind that it must be.
        """
        end = words.index("--") if "--" in words else len(words)
        spelt = [re.sub("^--[^=]+", lambda option: option[0].replace("_", "-"), word) for word in words[:end]]
        # argparse takes -1e-3 for an option, and -0.001 for a number.
        spelt = [f"{Decimal(word):f}" if EXPONENTIAL.fullmatch(word) else word for word in spelt]
        # argparse forgets, from one of its two passes to the next, that what follows -- is no option.
        spelt += [f"./{word}" if re.match("-.", word) else word for word in words[end + 1 :]]
        found, unknown = self.parse_known_intermixed_args(spelt)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            meant = difflib.get_close_matches(unknown[0].partition("=")[0], options, 1)
            guess = f"Perhaps you meant {meant[0]}. " if meant else ""
            raise UserError(f"There is no such option. Received: {' '.join(unknown)}. {guess}See --help.")
        return {name: value for name, value in vars(found).items() if value is not None}


def parser(kind: type, description: str | None = None, prog: str | None = None) -> Parser:
    """A parser of the options of one kind of settings.

    Parameters
    ----------
    kind : type
        A dataclass. Its fields may be bool, int, float, str, Path, Literal, any of these or None, tuples of one of
        these, and dataclasses, whose fields are options, too.
    description : str or None
        The first lines of the help.
    prog : str, optional
        The program's name in it.
    """
    parts = (description or "").split("\n\n")
    shown = "\n\n".join(part if part.startswith(" ") else textwrap.fill(part, HELP_WIDTH) for part in parts)
    form = functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=28, width=HELP_WIDTH)
    made = Parser(prog=prog, description=shown, formatter_class=form, allow_abbrev=False)
    add(made, kind)
    return made


def add(made: argparse.ArgumentParser, kind: type, positionals: bool = True) -> list[argparse.Action]:
    """Add the options of one kind of settings to a parser.

    Parameters
    ----------
    made : argparse.ArgumentParser
    kind : type
        As of `parser`.
    positionals : bool
        Whether also what is given without a name.

    Returns
    -------
    list of argparse.Action
        What was added, as argparse calls it.
    """
    added = []
    for field, hint in _fields(kind):
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            added += add(made, hint)
        elif positionals or not _argument(hint).positional:
            added += _add_field(made, field, hint, _texts(kind)[field.name])
    return added


def settings(kind: type, told: dict[str, Any]) -> Any:
    """Settings of a kind, with the values that were told; the rest is by default.

    Parameters
    ----------
    kind : type
        As of `parser`.
    told : dict
        Values by the fields' names, those of dataclasses within it among them, as of `Parser.told`.

    Returns
    -------
    kind

    Raises
    ------
    UserError
        If a field without a default is missing, and as the kind itself raises.
    """
    values = {}
    for field, hint in _fields(kind):
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            values[field.name] = settings(hint, told)
        elif field.name in told:
            value = told[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
        elif field.default is dataclasses.MISSING:
            name = field.name.upper() if _argument(hint).positional else option(field.name)
            raise UserError(f"What must be given is missing. Received: no {name}. See --help.")
    return kind(**values)


def path(word: str) -> Path:
    """The path that a word names.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is empty, as an empty variable of the shell is: to Python that would be the working folder.
    """
    if not word:
        raise argparse.ArgumentTypeError("the name is empty. Received: ''. Give one, or . for the working folder")
    return Path(word)


def _fields(kind) -> Iterator[tuple[dataclasses.Field, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return ((field, hints[field.name]) for field in dataclasses.fields(kind))


def _add_field(made, field, hint, text) -> list[argparse.Action]:
    argument = _argument(hint)
    names = [option(field.name), *filter(None, [argument.short])]
    value, many = _value(hint)
    if value is bool:
        return _add_flag(made, field.name, names, field.default, text)
    how: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _with_default(text, None if many else field.default)}
    if get_origin(value) is Literal:
        how["choices"] = get_args(value)
    else:
        how |= {"type": path if value is Path else value, "metavar": argument.metavar or value.__name__.upper()}
    if argument.positional:
        names, how["nargs"], how["metavar"] = [field.name], "*" if many else "?", field.name.upper()
        if not many:
            how["default"] = None  # until Python 3.12, argparse looks for SUPPRESS among the choices
    elif many:
        how["action"] = "append"
    return [made.add_argument(*names, **how)]


def _add_flag(made, name, names, default, text) -> list[argparse.Action]:
    """--NAME and --no-NAME; the help shows the one that changes the default."""
    return [
        made.add_argument(
            *flags,
            dest=name,
            action="store_true" if value else "store_false",
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS if value == default else text,
        )
        for flags, value in ((names, True), ([option(f"no_{name}")], False))
    ]


def _with_default(text, default) -> str:
    shown = "Must be given." if default is dataclasses.MISSING else f"Default: {default}."
    return (text if default in (None, "") or "Default:" in text else f"{text} {shown}").replace("%", "%%")


def _argument(hint) -> Argument:
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Argument)), Argument())


def _value(hint) -> tuple[Any, bool]:
    """The kind of a value, and whether there may be several."""
    if get_origin(hint) is Annotated:
        return _value(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _value(next(kind for kind in get_args(hint) if kind is not type(None)))
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


@functools.cache
def _texts(kind) -> dict[str, str]:
    """The texts under a dataclass' fields, and under those of what it inherits from, by the fields' names."""
    found: dict[str, str] = {}
    for part in reversed(kind.__mro__[:-1]):
        (written,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        for field, text in itertools.pairwise(ast.iter_child_nodes(written)):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                found[ast.unparse(field.target)] = " ".join(ast.literal_eval(text.value).split())
    return found
