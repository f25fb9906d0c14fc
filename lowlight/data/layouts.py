"""Datasets as people have them: the pairs that a folder holds, which part is for tests, and what was understood.

LOL, LOL-v2, LSRW, SID, SMID, SICE and FiveK need no reader of their own: `lowlight.data.couples` knows their folders.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from lowlight.data.couples import (
    BY_HAND,
    couples_of,
    mixed_couples,
    of_one_set,
    place_of,
    placed,
    several_ways,
    told_by_light,
    told_by_photos,
)
from lowlight.data.matching import PairError, Pool, match, side_word
from lowlight.data.tables import is_table, read_table
from lowlight.data.validate import few
from lowlight.io.photo import list_images
from lowlight.system import counted

PARTS = ("train", "val", "test")

DEEPEST = 6
"""Folders below the one that was named are searched so far down."""

ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz"}

SID_NAME = re.compile(r"[012]\d{4}_\d\d_[\d.]+s$")

SID_PARTS = {"0": "train", "1": "test", "2": "val"}
"""By the first of the five digits of a scene."""

NAMES = "names that are alike but for what all of a side begin or end with (1.png and 1.jpg, low1.png and normal1.png)"


@dataclass
class Reading:
    """What a folder was understood to hold."""

    pools: dict[str, Pool] = field(default_factory=dict)
    """By part: "train" always, "val" and "test" where the dataset brings them."""
    said: str = ""
    """What was understood, in a line."""
    brighter_left_out: bool = False
    """Whether lows that are brighter than their high are no mistake, as in brackets of exposures."""


def read(data: str | Path | None, low: str | Path | None = None, high: str | Path | None = None) -> Reading:
    """Find the pairs of a dataset.

    Parameters
    ----------
    data : path or None
        A folder in any of the layouts that `docs/datasets.md` lists, or a CSV file with columns low and high.
    low, high : path, optional
        The two sides, where they are not in one folder or it is not clear which is which.

    Raises
    ------
    PairError
        If folders or photos are missing, or it is not clear what is a pair; it says what to do.
    """
    if low or high:
        if data or not (low and high):
            raise PairError(
                f"Give a folder of pairs, or both of its sides. Received: data {data}, low {low}, high {high}."
            )
        return _of_sides(Path(low), Path(high))
    if not data:
        raise PairError("No folder of pairs was given. Name one.")
    root = Path(data)
    if root.suffix.lower() == ".csv" and root.is_file():
        return _of_table(root)
    _require_folder(root)
    tables = [table for table in sorted(root.glob("*.csv")) if table.name == "pairs.csv" or is_table(table)]
    if len(tables) > 1 and root / "pairs.csv" not in tables:
        raise PairError(several_ways(root, f"{len(tables)} tables of pairs", [f"--data {table}" for table in tables]))
    if tables:
        return _of_table(root / "pairs.csv" if root / "pairs.csv" in tables else tables[0])
    return _of_tree(root)


def _of_sides(low, high) -> Reading:
    for folder in (low, high):
        _require_folder(folder)
    if low.resolve() == high.resolve():
        raise PairError(f"Both sides are the same folder. Received: {low} twice. Name the well-lit photos' folder.")
    places = []
    for side, root in (("low", low), ("high", high)):
        photos = list_images(root)
        folders = {root: photos} if photos else _folders(root)
        if not folders:
            raise PairError(f"There are no photos in the folder. Received: {root}. Put photos into it or name another.")
        for folder, photos in folders.items():
            places.append(placed(folder, photos, folder.relative_to(root).parts, -1)._replace(side=side))
    couples = couples_of(places)
    if not couples:
        raise PairError(
            f"The subfolders of the two sides have no names in common. Received: "
            f"{few([str(place.folder) for place in places])}. Name the folders that hold the photos."
        )
    return _assembled(couples, places, None)


def _of_tree(root) -> Reading:
    places = [place_of(folder, photos, folder.relative_to(root).parts) for folder, photos in _folders(root).items()]
    couples = couples_of(places) or mixed_couples(places) or couples_of(told_by_photos(places))
    if not couples:
        couples = couples_of(told_by_light(places))
    if not couples:
        above = "Name the folder above it, if the other side is beside it. " if side_word(root.absolute().name) else ""
        raise PairError(
            f"No pairs are understood in {root}. Received: {_held(places, root) or 'no photos'}. {above}{BY_HAND}; "
            f"photos of a pair need {NAMES}."
        )
    return _assembled(of_one_set(couples, root), places, root)


def _folders(root, above: tuple[Path, ...] = ()) -> dict[Path, list[Path]]:
    """Folders with photos, the root itself among them, and these; hidden ones are left out."""
    photos = list_images(root)
    found = {root: photos} if photos else {}
    above = (*above, root.resolve())
    if len(above) <= DEEPEST:
        for entry in sorted(root.iterdir()):
            if not entry.name.startswith(".") and entry.is_dir() and not _leads_back(entry, above):
                found |= _folders(entry, above)
    return found


def _leads_back(folder, above) -> bool:
    """Whether it is a link to what is found without it, or to where it comes from, which would have no end."""
    target = folder.resolve()
    return folder.is_symlink() and any(target.is_relative_to(at) or at.is_relative_to(target) for at in above)


def _assembled(couples, places, root) -> Reading:
    """The pairs of couples, in parts, and what is to be said of them."""
    reading, ways = Reading(), dict[str, None]()
    couples = sorted(couples, key=lambda couple: PARTS.index(couple.place.part or "train"))
    groups = {couple.place.group for couple in couples}
    scenes = {(couple.place.group, couple.place.scene) for couple in couples}
    one_high = all(len(couple.highs) == 1 for couple in couples)  # so each is a scene, and all lows are its own
    for couple in couples:
        place = couple.place
        prefix = "".join(f"{name}/" for name in (*(place.group if len(groups) > 1 else ()), *place.scene))
        is_scene = len(scenes) > 1 and (place.scene or (one_high and place.group))
        scene = "/".join((*place.group, *place.scene)) if is_scene else None
        pool, how = match(couple.lows, couple.highs, (place.folder, couple.bright), prefix, scene)
        reading.pools.setdefault(place.part or "train", Pool()).add(pool)
        ways |= {how: None} if how else {}
    if not any(pool.pairs for pool in reading.pools.values()):
        first = couples[0]
        raise PairError(
            f"No photo has a partner by its name. Received: {first.lows[0].name} in {first.place.folder} and "
            f"{first.highs[0].name} in {first.bright}. Photos of a pair need {NAMES}; or list them in a CSV file with "
            "columns low and high."
        )
    if len(reading.pools) == 1:
        reading.pools = {"train": next(iter(reading.pools.values()))}
        _part_sid(reading.pools)
    if "train" not in reading.pools:
        raise PairError(
            f"There is no part to train on. Received: {' and '.join(reading.pools)}. Name the folder of one of them."
        )
    reading.brighter_left_out = any("expert" in couple.bright.name.lower() or couple.bracket for couple in couples)
    reading.said = _said(couples, list(ways), reading, places, root)
    return reading


def _part_sid(pools):
    """Take the test and validation scenes out of SID's, whose names tell."""
    names = list(pools["train"].pairs)
    parts = [SID_PARTS[name[0]] if SID_NAME.match(name) else "" for name in names]
    if "" in parts or "train" not in parts:
        return
    for name, part in zip(names, parts, strict=True):
        if part != "train":
            pools.setdefault(part, Pool()).pairs[name] = pools["train"].pairs.pop(name)


def _said(couples, ways, reading, places, root) -> str:
    by_part: dict[str, list[str]] = {}
    for couple in couples:
        shown = f"{_short(couple.place.folder, root)} + {_short(couple.bright, root)}"
        by_part.setdefault(couple.place.part or "train", []).append(shown)
    folders = [few(list(dict.fromkeys(names))) + f" ({part})" * (len(by_part) > 1) for part, names in by_part.items()]
    told = len(reading.pools) > len(by_part)
    more = [f"{len(pool.pairs)} {part}" for part, pool in reading.pools.items() if told]
    used = {folder for couple in couples for folder in (couple.place.folder, couple.bright)}
    passed = [_short(place.folder, root) for place in places if place.folder not in used]
    if passed:
        more.append(f"not read: {few(passed)}")
    return "; ".join([f"Understood: {', '.join(folders)}", *ways, *more])


def _of_table(path) -> Reading:
    pool, others = read_table(path)
    passed = f"; not read: {few(others)}" if others else ""
    return Reading({"train": pool}, f"Understood: {path.name}, a table of {counted(len(pool.pairs), 'pair')}{passed}")


def _held(places, root) -> str:
    return few(
        [
            f"{_short(place.folder, root)} with {counted(len(place.photos), 'photo')}"
            + f" (the {place.side} side)" * bool(place.side)
            for place in places
        ]
    )


def _short(folder, root) -> str:
    """A folder as seen from the one that was named, if one was."""
    if root is None:
        return str(folder)
    return folder.relative_to(root).as_posix() if folder != root else folder.name


def _require_folder(folder):
    if folder.is_file():
        how = "Unpack it, and name the folder" if folder.suffix.lower() in ARCHIVES else "Name the folder that it is in"
        raise PairError(f"Pairs are in a folder, or listed in a CSV file. Received: {folder}, a file. {how}.")
    if not folder.is_dir():
        raise PairError(f"There is no such folder. Received: {folder}. Check its name.")
