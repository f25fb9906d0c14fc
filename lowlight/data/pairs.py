"""Find pairs of a dark and a well-lit photo, check that they are pairs, and split them by scene."""

import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lowlight.data import layouts, scenes
from lowlight.data.layouts import PARTS
from lowlight.data.matching import Pair, PairError, Pool, Problem
from lowlight.data.validate import BRIGHTER, SAME, Look, check, few, listing
from lowlight.io import atomic
from lowlight.io.photo import read_rgb
from lowlight.system import counted

LOG = logging.getLogger(__name__)

VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Split:
    """Pairs to learn from, to choose by and to report on; no scene is in two of `train` and `val`."""

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    test: tuple[Pair, ...]
    source: str
    """How the split came about."""


def load_split(
    data: str | Path | None,
    low: str | Path | None = None,
    high: str | Path | None = None,
    skip_bad: bool = False,
) -> Split:
    """Find, check and split the pairs of a folder, or of two.

    Parameters
    ----------
    data : path or None
        As for `lowlight.data.layouts.read`. The split.json in the folder, or beside the table, ``{"train": [names],
        "val": [...], "test": [...]}``, is used if there is one; else the dataset's own parts for validation and test,
        such as eval15; and if it has none for validation, whole scenes go to `val` until it has a tenth of the pairs.
    low, high : path, optional
        The two sides, where they are not in one folder or it is not clear which is which.
    skip_bad : bool
        Leave broken pairs out instead of raising.

    Returns
    -------
    Split
        `train` and `val` are never empty; `test` is unless the dataset or its split.json has one.

    Raises
    ------
    PairError
        If folders, photos or partners are missing, or a pair is broken: unreadable, of two sizes, the same picture
        twice, low brighter than high, or two different scenes.
    """
    looks, pools, listed = _whole_pairs(data, low, high, skip_bad)
    split = _split_as_listed(listed, pools, looks) if listed else _split_by_scene(pools, looks)
    LOG.info("%s", _describe_split(split, looks))
    return split


def load_all(data: str | Path, skip_bad: bool = False, as_bright: bool = False) -> list[Pair]:
    """Find and check the pairs of a folder, whatever its split, and be it one scene; sorted by name.

    Parameters and errors as of `load_split`; `as_bright` as of `lowlight.data.validate.check`.
    """
    return sorted(_whole_pairs(data, None, None, skip_bad, as_bright)[0], key=lambda pair: pair.name)


def _whole_pairs(
    data, low, high, skip_bad, as_bright=False
) -> tuple[dict[Pair, Look], dict[str, Pool], dict[str, list[str]] | None]:
    """What is kept of each whole pair, the pools that they are in, and what split.json lists if there is one."""
    reading = layouts.read(data, low, high)
    pools, listed, notes = reading.pools, None, [reading.said]
    folder = data and (Path(data) if Path(data).is_dir() else Path(data).parent)
    if folder and (path := folder / "split.json").is_file():
        listed = _read_split(path, pools)
        notes += _keep_listed(listed, pools)
    pairs = [pair for pool in pools.values() for pair in pool.pairs.values()]
    LOG.info("Checking %s of %s ...", counted(len(pairs), "pair"), data or f"{low} and {high}")
    looks, problems = check(pairs, as_bright)
    problems = [problem for pool in pools.values() for problem in pool.problems] + problems
    if reading.brighter_left_out:
        problems, left_out = _without_exposures_that_are_fine(problems)
        notes += left_out
    LOG.info("%s", "\n".join([_describe(looks), *notes, *listing(problems)]))
    if problems and not skip_bad:
        raise PairError(_refusal(problems, len(pairs)))
    if problems:
        LOG.info("Left out: %s.", counted(len(problems), "broken pair"))
    if not looks:
        raise PairError(f"There is no whole pair. Received: {data or low}. Mend the photos, or name another folder.")
    return looks, pools, listed


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
    atomic.write(Path(path), json.dumps(names | {"source": split.source}, indent=1) + "\n")


def _read_split(path, pools) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} in place of an object")
        if not any(content.get(part) for part in PARTS):
            raise ValueError(f"{few(list(content)) or 'nothing'} in place of train, val and test")
        if any(not isinstance(content.get(part, []), list) for part in PARTS):
            raise ValueError("a name in place of a list of names")
    except ValueError as error:
        raise PairError(
            f'{path} is no split. Received: {error}. Write {{"train": [names], "val": [names]}} or delete it.'
        ) from None
    listed = {part: [str(name) for name in content.get(part, [])] for part in PARTS}
    for part in PARTS[1:]:
        if part in pools and not listed[part]:
            listed[part] = list(pools[part].pairs)
    names = [(id(_pool_of(part, pools)), name) for part in PARTS for name in listed[part]]
    twice = [name for (_, name), times in Counter(names).items() if times > 1]
    if twice:
        raise PairError(f"{path} lists names more than once. Received: {few(twice)}. Keep one of each.")
    return listed


def _pool_of(part, pools) -> Pool:
    """Where a part's pairs are: in its own pool, or with those to train on."""
    return pools.get(part, pools["train"])


def _keep_listed(listed, pools) -> list[str]:
    """Take what split.json does not name out of the pools; say how much, and what it names in vain."""
    absent, unused = [], 0
    there = sorted(name for pool in pools.values() for name in pool.pairs)
    for pool in pools.values():
        keep = {name for part in PARTS if _pool_of(part, pools) is pool for name in listed[part]}
        known = set(pool.pairs) | {problem.name for problem in pool.problems}
        absent += sorted(keep - known)
        unused += len(known - keep)
        pool.pairs = {name: pair for name, pair in pool.pairs.items() if name in keep}
        pool.problems = [problem for problem in pool.problems if problem.name in keep]
    if absent and len(absent) == sum(map(len, listed.values())):
        raise PairError(
            f"split.json names no pair that is there. Received: {few(absent)} for {few(there)}. Name pairs as these "
            "are, or delete split.json to have scenes found automatically."
        )
    notes = []
    if absent:
        notes.append(f"split.json names {counted(len(absent), 'pair')} without photos: {few(absent)}.")
    if unused:
        notes.append(f"Not named by split.json, so left out: {counted(unused, 'pair')}.")
    return notes


def _without_exposures_that_are_fine(problems) -> tuple[list[Problem], list[str]]:
    kept = [problem for problem in problems if problem.reason not in (BRIGHTER, SAME)]
    counts = Counter(problem.reason for problem in problems)
    notes = {
        BRIGHTER: ("low that is brighter than its high is", "lows that are brighter than their high are"),
        SAME: ("low that is the same picture as its high is", "lows that are the same picture as their high are"),
    }
    return kept, [f"{counted(counts[why], *words)} left out." for why, words in notes.items() if counts[why]]


def _split_as_listed(listed, pools, looks) -> Split:
    parts = {}
    for part in PARTS:
        known = _pool_of(part, pools).pairs
        parts[part] = tuple(known[name] for name in listed[part] if known.get(name) in looks)
        if not parts[part] and (listed[part] or part != "test"):
            names = counted(len(listed[part]), "name")
            raise PairError(
                f"The {part} split is empty. Received: {names} for it in split.json, none of a whole pair. Name pairs "
                "that are in the folder, or delete split.json to have scenes found automatically."
            )
    return Split(**parts, source="split.json of the data folder")


def _split_by_scene(pools, looks) -> Split:
    pairs, val, test = (
        tuple(pair for pair in (pools[part].pairs.values() if part in pools else ()) if pair in looks) for part in PARTS
    )
    if pairs and val:
        return Split(pairs, val, test, f"the dataset's own parts: {', '.join(pools)}")
    labels = scenes.group(np.stack([looks[pair].high for pair in pairs + test]))
    labels = scenes.join(labels, [pair.scene or str(pair.high) for pair in pairs + test])
    own, avoid = labels[: len(pairs)], labels[len(pairs) :]
    count = len(set(own))
    if count < 2:
        raise PairError(
            f"Validation needs a scene that training does not see. Received: {counted(len(pairs), 'pair')} of {count} "
            "scene (what looks alike or lies in one subfolder is one). Add pairs of other scenes, or say which to "
            "validate on in a split.json, in the folder that --data names or beside a table of pairs."
        )
    is_val = scenes.choose_validation(own, VALIDATION_SHARE, avoid)
    train = tuple(pair for pair, chosen in zip(pairs, is_val, strict=True) if not chosen)
    val = tuple(pair for pair, chosen in zip(pairs, is_val, strict=True) if chosen)
    source = f"scenes found automatically: {count} in {len(pairs)} pairs, {len(set(own[is_val]))} of them val"
    return Split(train, val, test, source)


def _refusal(problems, count) -> str:
    reasons = "; ".join(listing(problems, most=3))
    exchanged = sum(problem.reason == BRIGHTER for problem in problems) > count / 2
    hint = "The sides look exchanged: name the darker by --low, the other by --high. " if exchanged else ""
    broken = counted(len(problems), "broken pair")
    return f"{broken}. Received: {reasons}. {hint}Mend them, or leave them out by --skip-bad-pairs."


def _describe(looks: dict[Pair, Look]) -> str:
    if not looks:
        return "no whole pair"
    sizes = Counter(look.size for look in looks.values())
    shown = [f"{width}x{height}" for (width, height), _ in sizes.most_common()]
    low, high = np.mean([look.means for look in looks.values()], axis=0)
    whole = counted(len(looks), "whole pair")
    return f"{whole}, {few(shown)} pixels; mean brightness (0-255) low {low:.0f}, high {high:.0f}"


def _describe_split(split, looks) -> str:
    counts = ", ".join(f"{len(getattr(split, part))} {part}" for part in PARTS)
    lines = [f"Split: {counts} ({split.source})"]
    seen = np.stack([looks[pair].high for pair in split.train])
    for part in PARTS[1:]:
        pairs = getattr(split, part)
        twins = sum(bool((seen @ looks[pair].high > scenes.TWIN).any()) for pair in pairs)
        if twins:
            those = counted(len(pairs), f"{part} pair")
            lines.append(f"of {those}, {counted(twins, 'shows', 'show')} a scene that is in train too")
    return "\n".join(lines)
