"""Tables of pairs: CSV files with a column for each side."""

import csv
from pathlib import Path

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

    Parameters and errors as of `read_cells`.
    """
    cells, others = read_cells(path)
    pool = Pool()
    stems = {Path(low).stem for low, _ in cells}
    named_by_stem = len(stems) == len({low for low, _ in cells})
    for low, high in cells:
        name = Path(low).stem if named_by_stem else (Path(low).parent / Path(low).stem).as_posix()
        sides = [beside(path, cell) for cell in (low, high)]
        empty = f"an empty cell in the row of {low or high}"
        lost = [cell or empty for cell, side in zip((low, high), sides, strict=True) if not side.is_file()]
        if name in pool.pairs:
            pool.problems.append(Problem(name, "listed twice in the table", f"{low} + {high}"))
        elif lost:
            pool.problems.append(Problem(name, f"not beside {path}", " + ".join(lost)))
        else:
            pool.pairs[name] = Pair(name, *sides)
    return pool, others


def read_cells(path: Path) -> tuple[list[list[str]], list[str]]:
    """What a CSV file lists as low and high, a row each, and what its other columns are called.

    Parameters
    ----------
    path : Path
        Its first row names the columns, two of them as folders of the two sides could be called: low and high, input
        and gt.

    Raises
    ------
    PairError
        If it is no such table.
    """
    rows = _rows(path)
    columns = _columns(rows)
    if not columns:
        raise PairError(
            f"{path} must have columns low and high, or such as are called alike. Received: columns "
            f"{few(rows[0]) if rows else 'none'}. Name two of them low and high."
        )
    cells = [[_portable(path, "".join(row[column : column + 1]).strip()) for column in columns] for row in rows[1:]]
    return cells, [head for column, head in enumerate(rows[0]) if head and column not in columns]


def beside(table: Path, cell: str) -> Path:
    """The photo that a cell of a table names: its path begins beside the file, or in images/ beside it."""
    places = [table.parent / name / cell for name in FOLDERS]
    return next((path for path in places if path.is_file()), places[0])


def _portable(table, cell) -> str:
    """A cell of a table that may have been written on Windows, with / between folders."""
    return cell if beside(table, cell).is_file() else cell.replace("\\", "/")


def _rows(path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=head.count)  # Excel writes semicolons where commas are for decimals
            return [row for row in csv.reader(file, delimiter=delimiter) if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        raise PairError(
            f"{path} cannot be read as a table of pairs. Received: {error}. Save it as CSV in UTF-8."
        ) from None


def _columns(rows) -> list[int] | None:
    """Which two columns the heads of a table tell to be the sides; one that is called low or high comes first."""
    heads = [head.strip().lower() for head in rows[0]] if rows else []
    words = [side_word(head) for head in heads]
    if not {"low", "high"} <= {*words}:
        return None
    return [heads.index(side) if side in heads else words.index(side) for side in ("low", "high")]
