"""Tables of pairs: CSV files with a column for each side."""

import csv
from pathlib import Path
from typing import TextIO

from lowlight.data.matching import Pair, PairError, Pool, Problem, side_word
from lowlight.data.validate import few

FOLDERS = ("", "images")
"""Where the photos of a table are, beside it."""


def is_table(path: Path) -> bool:
    """Whether two columns of a CSV file are called as the sides are; a file of another kind is none."""
    try:
        return _columns(_rows(path)) is not None
    except PairError:
        return False


def read_table(path: Path) -> tuple[Pool, list[str]]:
    """The pairs that a CSV file lists, and what its other columns are called.

    Parameters
    ----------
    path : Path
        Its first row names the columns, two of them as folders of the two sides could be called: low and high, input
        and gt. The photos' paths begin beside the file, or in images/ beside it.

    Raises
    ------
    PairError
        If it is no such table.
    """
    rows = _rows(path)
    columns = _columns(rows)
    if not columns:
        raise PairError(
            f"{path} is no table of pairs. Received: columns {few(rows[0]) if rows else 'none'}. Name two of them low "
            "and high."
        )
    pool = Pool()
    cells = [["".join(row[column : column + 1]).strip() for column in columns] for row in rows[1:]]
    stems = {Path(low).stem for low, _ in cells}
    named_by_stem = len(stems) == len({low for low, _ in cells})
    for low, high in cells:
        name = Path(low).stem if named_by_stem else (Path(low).parent / Path(low).stem).as_posix()
        sides = [_beside(path, cell) for cell in (low, high)]
        lost = [cell or "an empty cell" for cell, side in zip((low, high), sides, strict=True) if not side.is_file()]
        if name in pool.pairs:
            pool.problems.append(Problem(name, "listed twice in the table", f"{low} + {high}"))
        elif lost:
            pool.problems.append(Problem(name, f"not beside {path}", " + ".join(lost)))
        else:
            pool.pairs[name] = Pair(name, *sides)
    return pool, [head for column, head in enumerate(rows[0]) if head and column not in columns]


def separator(file: TextIO) -> str:
    """What stands between the cells of a CSV file: a comma, or what Excel writes where that is for decimals.

    Parameters
    ----------
    file : text file
        At its beginning, where it is left.

    Returns
    -------
    {",", ";", "\\t"}
        The one that its first line has most of.
    """
    head = file.readline()
    file.seek(0)
    return max(",;\t", key=head.count)


def _rows(path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [row for row in csv.reader(file, delimiter=separator(file)) if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        raise PairError(f"{path} cannot be read as a table of pairs. Received: {error}. Save it as CSV.") from None


def _columns(rows) -> list[int] | None:
    """Which two columns the heads of a table tell to be the sides."""
    sides = [side_word(head) for head in rows[0]] if rows else []
    return [sides.index("low"), sides.index("high")] if {"low", "high"} <= {*sides} else None


def _beside(table, cell) -> Path:
    places = [table.parent / name / cell for name in FOLDERS]
    return next((path for path in places if path.is_file()), places[0])
