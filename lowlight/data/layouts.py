"""Datasets as people have them: which folders hold the dark and the well-lit photos, and which part is for tests.

A tree is understood by the words in the names of its folders: one word tells the side (low, Normal, input, gt, short,
long, expertC ...), one the part (train, our485, test, eval15, val ...); what is left tells the camera or the scene.
So LOL, LOL-v2, LSRW, SID, SMID, SICE and FiveK need no reader of their own.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lowlight.data.matching import PairError, Pool, match, side_of, side_word, words
from lowlight.data.tables import is_table, read_table
from lowlight.data.validate import few
from lowlight.io.photo import ImageError, list_images, read_rgb

PART_WORDS = {
    **dict.fromkeys(("train", "training", "our"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}

RESULT_WORDS = {"predicted", "output", "outputs", "result", "results", "enhanced", "restored"}
"""A folder that is called so holds what a model made: no truth to learn from."""

PARTS = ("train", "val", "test")

PREFERRED_SIDES = ("low", "high", "expertc")
"""Where several folders could be one side, the one that is called so is taken."""

DEEPEST = 6
"""Folders below the one that was named are searched so far down."""

LOOKED_AT = 5
"""Pairs that are read to tell the dark folder of two by its photos."""

SID_NAME = re.compile(r"[012]\d{4}_\d\d_[\d.]+s$")

SID_PARTS = {"0": "train", "1": "test", "2": "val"}
"""By the first of the five digits of a scene."""

NAMES = "names that are alike but for what all of a side begin or end with (1.png and 1.jpg, low1.png and normal1.png)"

BY_HAND = "Say which is which by --low DIR --high DIR, or rename the two folders low and high"


@dataclass
class Reading:
    """What a folder was understood to hold."""

    pools: dict[str, Pool] = field(default_factory=dict)
    """By part: "train" always, "val" and "test" where the dataset brings them."""
    said: str = ""
    """What was understood, in a line."""
    brighter_left_out: bool = False
    """Whether lows that are brighter than their high are no mistake, as in brackets of exposures."""


class Place(NamedTuple):
    """A folder of photos, and what its path tells of it."""

    folder: Path
    photos: list[Path]
    dataset: tuple[str, ...] = ()
    """Folders above that of the part."""
    part: str = ""
    group: tuple[str, ...] = ()
    """Folders between part and side, such as the camera."""
    scene: tuple[str, ...] = ()
    """Folders below the side."""
    side: str | None = None

    @property
    def where(self) -> tuple:
        """What the two sides of pairs share."""
        return self[2:6]


class Couple(NamedTuple):
    """Dark photos and well-lit ones that are pairs, whichever they are."""

    place: Place
    """Of the dark ones."""
    bright: Path
    """Folder of the well-lit ones."""
    lows: list[Path]
    highs: list[Path]
    bracket: bool = False
    """Whether they are exposures of one scene, of which some may be too bright."""


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
        raise PairError(_several_ways(root, f"{len(tables)} tables of pairs", [f"--data {table}" for table in tables]))
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
            places.append(_placed(folder, photos, folder.relative_to(root).parts, -1)._replace(side=side))
    couples = _couples(places)
    if not couples:
        raise PairError(
            f"The subfolders of the two sides have no names in common. Received: "
            f"{few([str(place.folder) for place in places])}. Name the folders that hold the photos."
        )
    return _assembled(couples, places, None)


def _of_tree(root) -> Reading:
    places = [_place(folder, photos, folder.relative_to(root).parts) for folder, photos in _folders(root).items()]
    couples = _couples(places) or _mixed_couples(places)
    if not couples:
        couples = _couples(_told_by_light(places))
    if not couples:
        raise PairError(
            f"No pairs are understood in {root}. Received: {_held(places, root) or 'no photos'}. {BY_HAND}; photos of "
            f"a pair need {NAMES}."
        )
    return _assembled(_of_one_set(couples, root), places, root)


def _folders(root, depth: int = DEEPEST) -> dict[Path, list[Path]]:
    """Folders with photos, the root itself among them, and these; hidden ones and links are left out."""
    photos = list_images(root)
    found = {root: photos} if photos else {}
    if depth:
        for entry in sorted(root.iterdir()):
            if not entry.name.startswith(".") and entry.is_dir() and not entry.is_symlink():
                found |= _folders(entry, depth - 1)
    return found


def _place(folder, photos, parts) -> Place:
    sides = [side_word(name) for name in parts]
    at = max((i for i, side in enumerate(sides) if side), default=None)
    if at is None:
        return _placed(folder, photos, parts, len(parts))
    place = _placed(folder, photos, parts, at)
    return place._replace(side=sides[at], part=place.part or _part_word(parts[at]))  # train_low tells both


def _placed(folder, photos, parts, at) -> Place:
    """Place a folder by its path, of which part number `at` names the side."""
    cut = max((i for i, name in enumerate(parts) if i != at and _part_word(name)), default=-1)
    above, below = parts[: max(at, 0)], parts[at + 1 :]
    return Place(
        folder,
        photos,
        dataset=tuple(above[:cut] if 0 <= cut < at else ()),
        part=_part_word(parts[cut]) if cut >= 0 else "",
        group=tuple(above[cut + 1 :] if cut < at else above),
        scene=tuple(name for i, name in enumerate(below, at + 1) if i != cut),
    )


def _part_word(name) -> str:
    return next((PART_WORDS[word] for word in words(name) if word in PART_WORDS), "")


def _couples(places) -> list[Couple]:
    """What are sides of each other by their paths, and brackets of exposures with the photo that is called so."""
    sides: dict[tuple, dict[str, list[Place]]] = {}
    for place in places:
        if place.side:
            sides.setdefault(place.where, {"low": [], "high": []})[place.side].append(place)
    couples = [
        Couple(dark, bright.folder, dark.photos, bright.photos)
        for found in sides.values()
        for dark in found["low"]
        for bright in found["high"]
    ]
    return couples or _bracket_couples(places)


def _bracket_couples(places) -> list[Couple]:
    """Folders that are called as a well-lit photo of another folder: SICE's, or those of short exposures."""
    labels = {
        (place.dataset, place.part, place.group, path.stem): path
        for place in places
        if place.side == "high" and not place.scene
        for path in place.photos
    }
    couples = []
    for place in places:
        whole = place.scene if place.side == "low" else place.group if not place.side else ()
        if not whole:
            continue
        group = place.group if place.side == "low" else whole[:-1]
        if label := labels.get((place.dataset, place.part, group, whole[-1])):
            bracket = place._replace(group=group, scene=whole[-1:], side="low")
            couples.append(Couple(bracket, label.parent, place.photos, [label], True))
    return couples


def _mixed_couples(places) -> list[Couple]:
    """Folders that hold both sides, told apart by the photos' names."""
    couples = []
    for place in places:
        photos: dict[str | None, list[Path]] = {}
        for path in place.photos:
            photos.setdefault(side_of(path.stem), []).append(path)
        if photos.keys() >= {"low", "high"}:
            couples.append(Couple(place, place.folder, photos["low"], photos["high"]))
    return couples


def _told_by_light(places) -> list[Place]:
    """Where a folder holds two folders of photos, partners by name, the darker one is low.

    Raises
    ------
    PairError
        If neither is darker in all pairs that are looked at.
    """
    told = []
    for parent in dict.fromkeys(place.folder.parent for place in places):
        siblings = [place for place in places if place.folder.parent == parent]
        made = any(RESULT_WORDS & {*words(place.folder.name)} for place in siblings)
        if len(siblings) != 2 or made or siblings[0].part != siblings[1].part or all(place.side for place in siblings):
            continue
        first, second = (place.folder for place in siblings)
        pool, _ = match(siblings[0].photos, siblings[1].photos, (first, second))
        if not pool.pairs:
            continue
        known = [place for place in siblings if place.side]
        if len(known) == 1:
            dark = first if (known[0].folder == first) == (known[0].side == "low") else second
        else:
            dark = _darker(first, second, list(pool.pairs.values())[:LOOKED_AT])
        for place in siblings:
            group = place.group if place.side else place.group[:-1]
            told.append(place._replace(group=group, side="low" if place.folder == dark else "high"))
    return told


def _darker(first, second, pairs) -> Path:
    try:
        darker = {read_rgb(pair.low).mean() < read_rgb(pair.high).mean() for pair in pairs}
    except ImageError as error:
        raise PairError(f"Which of two folders is the dark one cannot be seen. Received: {error} {BY_HAND}.") from None
    if len(darker) > 1:
        readings = [f"--low {first} --high {second}", f"--low {second} --high {first}"]
        raise PairError(_several_ways(first.parent, "two folders, neither darker in all pairs", readings))
    return first if darker.pop() else second


def _of_one_set(couples, root) -> list[Couple]:
    """The couples of one dataset, each folder in one of them.

    Raises
    ------
    PairError
        If it is not clear which.
    """
    datasets = sorted({couple.place.dataset for couple in couples})
    if len(datasets) > 1 and all(couple.place.part for couple in couples):
        readings = [f"--data {root.joinpath(*dataset)}" for dataset in datasets]
        raise PairError(_several_ways(root, f"{len(datasets)} datasets", readings))
    parts = {couple.place.part for couple in couples}
    if {"", "train"} <= parts or len(datasets) > 1:
        raise PairError(_several_ways(root, "pairs inside and outside of parts", _by_sides(couples)))
    by_place: dict[tuple, list[Couple]] = {}
    for couple in couples:
        by_place.setdefault(couple.place.where, []).append(couple)
    return [_preferred(found, root) for found in by_place.values()]


def _preferred(couples, root) -> Couple:
    """Of couples in one place, that whose folders are called as the sides mostly are."""
    for folder in (lambda couple: couple.place.folder, lambda couple: couple.bright):
        named = [couple for couple in couples if "".join(words(folder(couple).name)) in PREFERRED_SIDES]
        if len({folder(couple) for couple in named}) == 1:
            couples = named
    if len(couples) > 1:
        raise PairError(_several_ways(root, f"{len(couples)} couples of folders", _by_sides(couples)))
    return couples[0]


def _by_sides(couples) -> list[str]:
    return [f"--low {couple.place.folder} --high {couple.bright}" for couple in couples]


def _assembled(couples, places, root) -> Reading:
    """The pairs of couples, in parts, and what is to be said of them."""
    reading, ways = Reading(), dict[str, None]()
    couples = sorted(couples, key=lambda couple: PARTS.index(couple.place.part or "train"))
    groups, scenes = ({place(couple.place) for couple in couples} for place in (_group_of, _scene_of))
    for couple in couples:
        place = couple.place
        prefix = "".join(f"{name}/" for name in (*(place.group if len(groups) > 1 else ()), *place.scene))
        scene = "/".join((*place.group, *place.scene)) if place.scene and len(scenes) > 1 else None
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


def _group_of(place) -> tuple:
    return place.group


def _scene_of(place) -> tuple:
    return place.group, place.scene


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
    pool = read_table(path)
    return Reading({"train": pool}, f"Understood: {path.name}, a table of {len(pool.pairs)} pairs")


def _held(places, root) -> str:
    return few(
        [
            f"{_short(place.folder, root)} with {len(place.photos)} photos"
            + f" (the {place.side} side)" * bool(place.side)
            for place in places
        ]
    )


def _several_ways(root, received, readings) -> str:
    return f"{root} can be read in several ways. Received: {received}. Give {' or '.join(readings[:4])}."


def _short(folder, root) -> str:
    """A folder as seen from the one that was named, if one was."""
    if root is None:
        return str(folder)
    return folder.relative_to(root).as_posix() if folder != root else folder.name


def _require_folder(folder):
    if not folder.is_dir():
        raise PairError(f"There is no such folder. Received: {folder}. Check its name.")
