"""Find pairs of a dark and a well-lit photo, check that they are pairs, and split them by scene."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lowlight import scenes
from lowlight.errors import UserError
from lowlight.images import ImageError, list_images, read_rgb

PARTS = ("train", "val", "test")

VALIDATION_SHARE = 0.1

SAME_SCENE = 0.5
"""Rank correlation of a low with its high below which they are no pair. The lowest true one is 0.69 in LOL (499
pairs, median 0.99) and 0.89 in SICE part 1 (545); a low and the high of another LOL scene stay below 0.48 in 99 %."""

BETTER_PARTNER = 0.15
"""A low that fits another's high better than its own by more than this is mixed up. No true pair of LOL or SICE comes
above 0.10. With both checks 99 % of the lows of a shuffled LOL are found; photos of one scene cannot be told apart."""

LAYOUTS = "DIR/low + DIR/high, or DIR/our485/low + DIR/our485/high (and DIR/eval15/low + DIR/eval15/high to test on)"


class PairError(UserError):
    """Pairs are missing or broken."""


@dataclass(frozen=True)
class Pair:
    """A dark photo and the well-lit one of the same scene."""

    name: str
    """The file names' common stem, unique within a part of a split."""
    low: Path
    high: Path


@dataclass(frozen=True)
class Split:
    """Pairs to learn from, to choose by and to report on; no scene is in two of `train` and `val`."""

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    test: tuple[Pair, ...]
    source: str
    """How the split came about."""


class Problem(NamedTuple):
    """What is wrong with one pair."""

    name: str
    reason: str
    shown: str


@dataclass
class _Pool:
    pairs: dict[str, Pair] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _Look(NamedTuple):
    size: tuple[int, int]
    means: tuple[float, float]
    low: np.ndarray
    high: np.ndarray


def load_split(
    data: str | Path | None,
    low: str | Path | None = None,
    high: str | Path | None = None,
    skip_bad: bool = False,
    announce: Callable[[str], None] = print,
) -> Split:
    """Find, check and split the pairs of a folder, or of two.

    Parameters
    ----------
    data : path or None
        A folder in one of `LAYOUTS`. Its split.json, ``{"train": [names], "val": [...], "test": [...]}``, is used if
        there is one; else whole scenes go to `val` until it has a tenth of the pairs, and eval15 is `test`.
    low, high : path, optional
        The two sides, where they are not in one folder. Partners have the same name; the extension may differ.
    skip_bad : bool
        Leave broken pairs out instead of raising.
    announce : callable
        Is given the summary to print.

    Returns
    -------
    Split
        `train` and `val` are never empty; `test` is unless there is an eval15 or a split.json that names one.

    Raises
    ------
    PairError
        If folders, photos or partners are missing, or a pair is broken: unreadable, of two sizes, the same picture
        twice, low brighter than high, or two different scenes.
    """
    main, test = _find(data, low, high)
    listed, notes = None, []
    if data and (path := Path(data) / "split.json").is_file():
        listed = _read_split(path)
        notes = _keep_listed(listed, main, test)
    pools = [main] if test is None else [main, test]
    count = sum(len(pool.pairs) for pool in pools)
    announce(f"Checking {count} pairs ...")
    looks, problems = _check(pools)
    announce("\n".join([_describe(looks), *notes, *_all(problems)]))
    if problems and not skip_bad:
        raise PairError(_refusal(problems, count))
    if problems:
        announce(f"{len({p.name for p in problems})} broken pairs are left out.")
    if not looks:
        raise PairError(f"No whole pair is left. Received: {data or low}. {LAYOUTS} is what is understood.")
    split = _split_as_listed(listed, looks) if listed else _split_by_scene(looks, test)
    announce(_describe_split(split, looks))
    return split


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Read both photos of a pair.

    Returns
    -------
    low, high : (H, W, 3) uint8 arrays

    Raises
    ------
    ImageError
        If one cannot be read.
    """
    return read_rgb(pair.low), read_rgb(pair.high)


def write_split(split: Split, path: Path) -> None:
    """Write the names of a split as JSON that `load_split` reads as split.json; a crash leaves no half file."""
    names = {part: [pair.name for pair in getattr(split, part)] for part in PARTS}
    path = Path(path)
    part_file = path.with_name(path.name + ".part")
    part_file.write_text(json.dumps(names | {"source": split.source}, indent=1) + "\n", encoding="utf-8")
    part_file.replace(path)


def _find(data, low, high) -> tuple[_Pool, _Pool | None]:
    if low or high:
        if data or not (low and high):
            raise PairError(
                f"Give a folder of pairs, or both of its sides. Received: data {data}, low {low}, high {high}."
            )
        return _match(Path(low), Path(high)), None
    if not data:
        raise PairError("No folder of pairs was given. Name one.")
    root = Path(data)
    _require_folder(root)
    if (root / "our485").is_dir():
        test = root / "eval15"
        return _match_sides(root / "our485"), _match_sides(test) if test.is_dir() else None
    return _match_sides(root), None


def _match_sides(folder) -> _Pool:
    missing = [side for side in ("low", "high") if not (folder / side).is_dir()]
    if missing:
        held = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
        raise PairError(
            f"{folder} has no {' and no '.join(missing)} folder. Received: a folder with {_few(held) or 'nothing'}. "
            f"Understood: {LAYOUTS}."
        )
    return _match(folder / "low", folder / "high")


def _match(low, high) -> _Pool:
    sides = [_by_stem(low), _by_stem(high)]
    if low.resolve() == high.resolve():
        raise PairError(f"Both sides are the same folder. Received: {low} twice. Name the well-lit photos' folder.")
    pool = _Pool()
    for name in sides[0] | sides[1]:
        files = [side.get(name, []) for side in sides]
        shown = " + ".join(path.name for path in files[0] or files[1])
        if not all(files):
            missing = high if files[0] else low
            pool.problems.append(Problem(name, f"without a partner in {missing}", shown))
        elif len(files[0]) + len(files[1]) > 2:
            shown = " + ".join(f"{path.parent.name}/{path.name}" for path in files[0] + files[1])
            pool.problems.append(Problem(name, "with several files of one name on one side", shown))
        else:
            pool.pairs[name] = Pair(name, files[0][0], files[1][0])
    return pool


def _by_stem(folder) -> dict[str, list[Path]]:
    _require_folder(folder)
    found: dict[str, list[Path]] = {}
    for path in list_images(folder):
        found.setdefault(path.stem, []).append(path)
    if not found:
        raise PairError(f"There are no photos in the folder. Received: {folder}. Put photos into it or name another.")
    return found


def _require_folder(folder):
    if not folder.is_dir():
        raise PairError(f"There is no such folder. Received: {folder}. Check its name.")


def _read_split(path) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = {part: [str(name) for name in content.get(part, [])] for part in PARTS}
    except (ValueError, AttributeError, TypeError) as error:
        raise PairError(
            f'{path} is no split. Received: {error}. Write {{"train": [names], "val": [names]}} or delete it.'
        ) from None
    twice = [name for name, times in Counter(listed["train"] + listed["val"] + listed["test"]).items() if times > 1]
    if twice:
        raise PairError(f"{path} lists names more than once. Received: {_few(twice)}. Keep one of each.")
    return listed


def _keep_listed(listed, main, test) -> list[str]:
    """Take what split.json does not name out of the pools; say how much, and what it names in vain."""
    names = {part: set(listed[part]) for part in PARTS}
    wanted = [(main, names["train"] | names["val"]), (test, names["test"])]
    if test is None:
        wanted = [(main, set().union(*names.values()))]
    absent, unused = [], 0
    for pool, keep in wanted:
        known = set(pool.pairs) | {problem.name for problem in pool.problems}
        absent += sorted(keep - known)
        unused += len(known - keep)
        pool.pairs = {name: pair for name, pair in pool.pairs.items() if name in keep}
        pool.problems = [problem for problem in pool.problems if problem.name in keep]
    notes = []
    if absent:
        notes.append(f"split.json names {len(absent)} pairs that are not there: {_few(absent)}.")
    if unused:
        notes.append(f"{unused} pairs are left out: split.json does not name them.")
    return notes


def _check(pools) -> tuple[dict[Pair, _Look], list[Problem]]:
    pairs = [pair for pool in pools for pair in pool.pairs.values()]
    problems = [problem for pool in pools for problem in pool.problems]
    looks = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for pair, look in zip(pairs, threads.map(_look, pairs), strict=True):
            if isinstance(look, Problem):
                problems.append(look)
            else:
                looks[pair] = look
    mixed_up = _mixed_up(looks)
    for problem in mixed_up.values():
        problems.append(problem)
    return {pair: look for pair, look in looks.items() if pair not in mixed_up}, problems


def _look(pair) -> _Look | Problem:
    """Decode both photos once, and keep what all checks and the scene finder need."""
    try:
        low, high = read_pair(pair)
    except ImageError as error:
        return Problem(pair.name, "unreadable", str(error))
    if low.shape != high.shape:
        sizes = " and ".join(f"{side.shape[1]}x{side.shape[0]}" for side in (low, high))
        return Problem(pair.name, "with sides of two sizes", f"{pair.name} ({sizes})")
    if _digest(low) == _digest(high):
        return Problem(pair.name, "with the same picture on both sides", pair.name)
    means = float(low.mean()), float(high.mean())
    if means[0] > means[1]:
        shown = f"{pair.name} (mean {means[0]:.0f} against {means[1]:.0f})"
        return Problem(pair.name, "with a low that is brighter than its high", shown)
    return _Look((low.shape[1], low.shape[0]), means, scenes.thumbnail(low), scenes.thumbnail(high))
