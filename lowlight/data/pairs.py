"""Find pairs of a dark and a well-lit photo, check that they are pairs, and split them by scene."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lowlight.data import scenes
from lowlight.data.validate import BRIGHTER, Look, Problem, check, few, listing
from lowlight.errors import UserError
from lowlight.io.photo import list_images, read_rgb

PARTS = ("train", "val", "test")

VALIDATION_SHARE = 0.1

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


@dataclass
class _Pool:
    pairs: dict[str, Pair] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


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
        listed = _read_split(path, test)
        notes = _keep_listed(listed, main, test)
    pools = [main] if test is None else [main, test]
    pairs = [pair for pool in pools for pair in pool.pairs.values()]
    announce(f"Checking {len(pairs)} pairs ...")
    looks, problems = check(pairs)
    problems = [problem for pool in pools for problem in pool.problems] + problems
    announce("\n".join([_describe(looks), *notes, *listing(problems)]))
    if problems and not skip_bad:
        raise PairError(_refusal(problems, len(pairs)))
    if problems:
        announce(f"{len(problems)} broken pairs are left out.")
    if not looks:
        raise PairError(f"There is no whole pair. Received: {data or low}. Understood: {LAYOUTS}.")
    split = _split_as_listed(listed, main, test, looks) if listed else _split_by_scene(main, test, looks)
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
            f"{folder} has no {' and no '.join(missing)} folder. Received: a folder with {few(held) or 'nothing'}. "
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


def _read_split(path, test) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = {part: [str(name) for name in content.get(part, [])] for part in PARTS}
    except (ValueError, AttributeError, TypeError) as error:
        raise PairError(
            f'{path} is no split. Received: {error}. Write {{"train": [names], "val": [names]}} or delete it.'
        ) from None
    names = listed["train"] + listed["val"]
    if test is None:
        names += listed["test"]
    elif not listed["test"]:
        listed["test"] = list(test.pairs)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise PairError(f"{path} lists names more than once. Received: {few(twice)}. Keep one of each.")
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
        notes.append(f"split.json names {len(absent)} pairs that are not there: {few(absent)}.")
    if unused:
        notes.append(f"{unused} pairs are left out: split.json does not name them.")
    return notes


def _split_as_listed(listed, main, test, looks) -> Split:
    pools = {"train": main, "val": main, "test": test or main}
    parts = {}
    for part, pool in pools.items():
        pairs = (pool.pairs.get(name) for name in listed[part])
        parts[part] = tuple(pair for pair in pairs if pair in looks)
        if not parts[part] and (listed[part] or part != "test"):
            raise PairError(
                f"The {part} split is empty. Received: {len(listed[part])} names for it in split.json, none of a whole "
                "pair. Name pairs that are in the folder, or delete split.json to have scenes found automatically."
            )
    return Split(**parts, source="split.json of the data folder")


def _split_by_scene(main, test, looks) -> Split:
    pairs = [pair for pair in main.pairs.values() if pair in looks]
    held = [pair for pair in (test.pairs.values() if test else ()) if pair in looks]
    labels = scenes.group(np.stack([looks[pair].high for pair in pairs + held]))
    own, avoid = labels[: len(pairs)], labels[len(pairs) :]
    count = len(set(own))
    if count < 2:
        raise PairError(
            f"Validation needs a scene that training does not see. Received: {len(pairs)} pairs of {count} scene. "
            "Add pairs of other scenes, or say which to validate on in a split.json beside the pairs."
        )
    is_val = scenes.choose_validation(own, VALIDATION_SHARE, avoid)
    train = tuple(pair for pair, chosen in zip(pairs, is_val, strict=True) if not chosen)
    val = tuple(pair for pair, chosen in zip(pairs, is_val, strict=True) if chosen)
    source = f"scenes found automatically: {count} in {len(pairs)} pairs; {len(set(own[is_val]))} of them are val"
    return Split(train, val, tuple(held), source)


def _refusal(problems, count) -> str:
    reasons = "; ".join(listing(problems, most=3))
    exchanged = sum(problem.reason == BRIGHTER for problem in problems) > count / 2
    hint = "The sides look exchanged. " if exchanged else ""
    return f"{len(problems)} broken pairs. Received: {reasons}. {hint}Mend them, or leave them out by --skip-bad-pairs."


def _describe(looks: dict[Pair, Look]) -> str:
    sizes = Counter(look.size for look in looks.values())
    shown = [f"{width}x{height}" for (width, height), _ in sizes.most_common()]
    low, high = np.mean([look.means for look in looks.values()], axis=0) if looks else (0, 0)
    return f"{len(looks)} whole pairs, {few(shown)} pixels; mean brightness (0-255) low {low:.0f}, high {high:.0f}"


def _describe_split(split, looks) -> str:
    counts = ", ".join(f"{len(getattr(split, part))} {part}" for part in PARTS)
    lines = [f"Split: {counts} ({split.source})"]
    seen = np.stack([looks[pair].high for pair in split.train])
    for part in PARTS[1:]:
        pairs = getattr(split, part)
        twins = sum(bool((seen @ looks[pair].high > scenes.TWIN).any()) for pair in pairs)
        if twins:
            lines.append(f"{twins} of the {len(pairs)} {part} pairs show a scene that is in train too")
    return "\n".join(lines)
