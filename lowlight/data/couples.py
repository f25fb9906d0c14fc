"""Which folders hold the two sides of pairs: the words in their paths tell, their photos' names, or their light.

One word tells the side (low, Normal, input, gt, short, long, expertC ...), one the part (train, our485, test, eval15,
val ...); what is left tells the camera or the scene.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lowlight.data.matching import PairError, match, side_of, side_word, words
from lowlight.io.photo import ImageError, read_rgb

PART_WORDS = {
    **dict.fromkeys(("train", "training", "our"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}

RESULT_WORDS = {"predicted", "output", "outputs", "result", "results", "enhanced", "restored"}
"""A folder that is called so holds what a model made: no truth to learn from."""

PREFERRED_SIDES = ("low", "high", "expertc")
"""Where several folders could be one side, the one that is called so is taken."""

LOOKED_AT = 5
"""Pairs that are read to tell the dark folder of two by its photos."""

BY_HAND = "Say which is which by --low DIR --high DIR, or rename the two folders low and high"


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


def place_of(folder: Path, photos: list[Path], parts: Sequence[str]) -> Place:
    """Place a folder of photos by the names on the way to it.

    Parameters
    ----------
    folder : Path
    photos : list of Path
        In it.
    parts : sequence of str
        Names of folders, from below the one that was named to this one, which is the last.
    """
    sides = [side_word(name) for name in parts]
    at = max((i for i, side in enumerate(sides) if side), default=None)
    if at is None:
        return placed(folder, photos, parts, len(parts))
    place = placed(folder, photos, parts, at)
    return place._replace(side=sides[at], part=place.part or _part_word(parts[at]))  # train_low tells both


def placed(folder: Path, photos: list[Path], parts: Sequence[str], at: int) -> Place:
    """Place a folder of which is known what tells the side, if anything does; parameters as of `place_of`.

    Parameters
    ----------
    at : int
        Number of the name in `parts` that tells the side; -1 or `len(parts)` if none does: then all of them are below
        the side, or above it.
    """
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


def couples_of(places: Sequence[Place]) -> list[Couple]:
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


def mixed_couples(places: Sequence[Place]) -> list[Couple]:
    """Folders that hold both sides, told apart by the photos' names."""
    couples = []
    for place in places:
        photos: dict[str | None, list[Path]] = {}
        for path in place.photos:
            photos.setdefault(side_of(path.stem), []).append(path)
        if photos.keys() >= {"low", "high"}:
            couples.append(Couple(place, place.folder, photos["low"], photos["high"]))
    return couples


def told_by_photos(places: Sequence[Place]) -> list[Place]:
    """Where a folder's path tells no side, its photos' names may, if all tell the same: night1/high.png."""
    told = []
    for place in places:
        sides = {side_of(path.stem) for path in place.photos}
        told.append(place._replace(side=sides.pop()) if not place.side and len(sides) == 1 else place)
    return told


def told_by_light(places: Sequence[Place]) -> list[Place]:
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
        raise PairError(several_ways(first.parent, "two folders, neither darker in all pairs", readings))
    return first if darker.pop() else second


def of_one_set(couples: Sequence[Couple], root: Path) -> list[Couple]:
    """The couples of one dataset, each folder in one of them.

    Raises
    ------
    PairError
        If it is not clear which.
    """
    datasets = sorted({couple.place.dataset for couple in couples})
    if len(datasets) > 1 and all(couple.place.part for couple in couples):
        readings = [f"--data {root.joinpath(*dataset)}" for dataset in datasets]
        raise PairError(several_ways(root, f"{len(datasets)} datasets", readings))
    parts = {couple.place.part for couple in couples}
    if {"", "train"} <= parts or len(datasets) > 1:
        raise PairError(several_ways(root, "pairs inside and outside of parts", _by_sides(couples)))
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
        raise PairError(several_ways(root, f"{len(couples)} couples of folders", _by_sides(couples)))
    return couples[0]


def _by_sides(couples) -> list[str]:
    return [f"--low {couple.place.folder} --high {couple.bright}" for couple in couples]


def several_ways(root: Path, received: str, readings: Sequence[str]) -> str:
    """What is wrong with a folder that may mean this or that, and the options that choose.

    Parameters
    ----------
    root : Path
    received : str
        What is in it.
    readings : sequence of str
        Options, of which each chooses a meaning.
    """
    return f"{root} can be read in several ways. Received: {received}. Give {' or '.join(readings[:4])}."
