"""Where crops for a global-local model come from: pairs as they are, or clean photos that a camera takes anew."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import psutil

from lowlight import camera
from lowlight.errors import UserError
from lowlight.exposure import level, thumbnail
from lowlight.images import list_images, read_rgb
from lowlight.pairs import Pair, PairError, read_pair

HELD_OUT_EVERY = 6
"""Of a folder with a pairs.csv, one target in six and all its partners are for measuring, never for training."""

HELD_OUT_SHARE = 0.2
"""Of a folder of clean photos, the first by name are for measuring, never for training."""


class Scene(NamedTuple):
    """A crop of a dark photo, its truth, and what is known of the whole."""

    low: np.ndarray
    high: np.ndarray
    """(C, C, 3) uint8, both."""
    thumbnail: np.ndarray
    """(64, 64, 3), of the dark photo."""
    level: np.ndarray
    """(8, 8, 1), of the truth."""
    box: np.ndarray
    """(4,): where the crop lies, by `window`."""


class Source(Protocol):
    """What gives scenes."""

    def draw(self, rng: np.random.Generator, crop: int) -> Scene:
        """A scene at random, its crop of `crop` x `crop` pixels."""


class PairSource:
    """Scenes of pairs."""

    def __init__(self, pairs: Sequence[Pair]):
        self.photos = Memory(pairs, _pair_in_memory)

    def draw(self, rng, crop):
        low, high, small, wished = self.photos[rng.integers(len(self.photos))]
        part, box = window(low.shape, crop, rng)
        return Scene(low[part], high[part], small, wished, box)


class CleanSource:
    """Scenes of clean photos, each taken by another `lowlight.camera.Camera`.

    Parameters
    ----------
    folders : sequence of sequences of Path
        Photos in groups that are drawn from equally often, however many photos they hold.
    """

    def __init__(self, folders: Sequence[Sequence[Path]]):
        self.groups = [Memory(photos, _clean_in_memory) for photos in folders]

    def draw(self, rng, crop):
        group = self.groups[rng.integers(len(self.groups))]
        clean, small = group[rng.integers(len(group))]
        part, box = window(clean.shape, crop, rng)
        low, high, low_small, high_small = camera.take(clean[part], small, box, camera.draw(rng), rng)
        return Scene(low, high, thumbnail(low_small), level(thumbnail(high_small)), box)


class Memory:
    """Photos by index, read by `read(item)` into a tuple of arrays, and kept while half of the free memory lasts."""

    def __init__(self, items: Sequence, read: Callable):
        self.items, self.read = list(items), read
        self.kept: dict[int, tuple] = {}
        self.free = psutil.virtual_memory().available // 2

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        if index in self.kept:
            return self.kept[index]
        found = self.read(self.items[index])
        size = sum(array.nbytes for array in found)
        if size <= self.free:
            self.free -= size
            self.kept[index] = found
        return found


def window(shape: Sequence[int], crop: int, rng: np.random.Generator) -> tuple[tuple, np.ndarray]:
    """A random square of a photo: as an index, and as top, left, bottom and right in shares of its sides."""
    height, width = shape[:2]
    top, left = rng.integers((height - crop + 1, width - crop + 1))
    box = np.array([top / height, left / width, (top + crop) / height, (left + crop) / width])
    return np.s_[top : top + crop, left : left + crop], box


def listed_pairs(folder: Path) -> tuple[list[Pair], list[Pair]]:
    """Pairs that a folder's pairs.csv names in its columns low and high: those to train on, and those held out.

    Raises
    ------
    PairError
        If the file is missing, is not such a table, or names photos that are not in the folder or its images/.
    """
    path = folder / "pairs.csv"
    images = folder / "images" if (folder / "images").is_dir() else folder
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(images / row["low"], images / row["high"]) for row in csv.DictReader(file)]
    except OSError as error:
        raise PairError(f"There is no list of pairs. Received: {path} ({error.strerror}). Name its folder.") from None
    except (KeyError, TypeError, UnicodeDecodeError):
        raise PairError(f"The list must have columns low and high. Received: {path}. Write them so.") from None
    absent = sorted({photo.name for row in rows for photo in row if not photo.is_file()})
    if absent or not rows:
        shown = f"{len(absent)} photos that are not there: {', '.join(absent[:3])}" if absent else "no pair"
        raise PairError(f"The list does not fit its folder. Received: {path} naming {shown}. Mend it.")
    targets = sorted({high for _, high in rows})
    held = set(targets[::HELD_OUT_EVERY])
    pairs = [Pair(f"{low.stem}-{high.stem}", low, high) for low, high in rows]
    return [pair for pair in pairs if pair.high not in held], [pair for pair in pairs if pair.high in held]


def clean_photos(folder: Path) -> tuple[list[Path], list[Path]]:
    """Photos of a folder: those to train on, and those held out.

    Raises
    ------
    UserError
        If there is no such folder, or it has fewer than two photos.
    """
    if not folder.is_dir():
        raise UserError(f"There is no such folder of clean photos. Received: {folder}. Check its name.")
    photos = list_images(folder)
    if len(photos) < 2:
        raise UserError(f"Two clean photos or more are needed. Received: {folder} with {len(photos)}.")
    held = max(1, round(len(photos) * HELD_OUT_SHARE))
    return photos[held:], photos[:held]


def _pair_in_memory(pair):
    low, high = read_pair(pair)
    return low, high, thumbnail(low), level(thumbnail(high))


def _clean_in_memory(path):
    photo = read_rgb(path)
    return photo, camera.pixels_of(photo)
