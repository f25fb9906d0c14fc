"""Training samples of a global-local model: from pairs as they are, or from clean photos by a simulated camera."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import psutil
from PIL import Image

from lowlight.data import camera, surfaces
from lowlight.data.lights import shows_lit_subject
from lowlight.data.pairs import Pair, read_pair
from lowlight.imaging.exposure import THUMBNAIL, WHOLE, exposure_map, overview, thumbnail
from lowlight.io.photo import ImageError, read_rgb

LOG = logging.getLogger(__name__)

POOL_SIZE = 8_000
"""Exposure samples that are learnt from at a time: the newest."""

DRAWS_PER_NEW_SAMPLE = 16
"""Of so many exposure samples that are drawn, one may be new: to make it takes longer than to learn from it."""

SMALLEST_WHOLE = 16
"""Pixels of each side of the photo that an exposure sample shows, at least."""

AT_HALF_SIZE = 0.4
"""Share of the clean photos that are shown at half their size, where that is large enough."""

RECOLOURED = 0.4
"""Share of the crops of clean photos that are shown in other colours; at half their size, for vivid colours make their
own noise stronger, too."""

FLAT = 0.2
"""Share of them that show flat shapes in the photo's colours, too, at half its size: grain on such is always noise."""

SOFT = 0.12
"""Share of them that lose their finest detail, as a photo of many pixels shows none."""

DARK_FRAMES = 0.3
"""Share of the exposure samples of clean photos, not made a stop darker, that show the darkest part: dark by intent."""

NIGHTS = 0.15
"""Share of the exposure samples of clean photos that show lights in the dark instead."""

LIT_SUBJECTS = 0.2
"""Share of the exposure samples of clean photos that show a lit subject before the dark, where there are such photos.
They are few: a model that sees each photo equally often lifts the dark behind the subject."""

LOOKED_AT = 60
"""Photos at random of which the first that shows such a subject is taken."""

AS_TAKEN = {"as it is": 0.65, "noisy": 0.35}
"""Shares of the kinds of shots that both are taken by: made darker they might be anything."""


class CropSample(NamedTuple):
    """A crop of a dark photo, its reference, and what is known of the whole photo."""

    low: np.ndarray
    high: np.ndarray
    """(C, C, 3) uint8, both."""
    thumbnail: np.ndarray
    """(64, 64, 3), of the dark photo's whole."""
    exposure_map: np.ndarray
    """(8, 8, 1), of the reference's whole."""
    box: np.ndarray
    """(4,): where the crop lies in the whole, by `window`."""


class ExposureSample(NamedTuple):
    """What the prediction of exposure learns from: a whole dark photo, and the exposure map of its reference."""

    overview: np.ndarray
    """(64, 64, 5) float16: thousands of them are kept."""
    exposure_map: np.ndarray
    """(8, 8, 1), to aim at behind the identity gate."""
    right: np.ndarray
    """(8, 8, 1), to aim at before it."""
    learnt: bool = False
    """Whether it is learnt from as it is where all else is `Remembered`."""


class Source(Protocol):
    """What samples are drawn from."""

    def draw_crop(self, rng: np.random.Generator, crop: int) -> CropSample:
        """A crop at random, of `crop` x `crop` pixels."""

    def draw_exposure(self, rng: np.random.Generator) -> ExposureSample:
        """A whole photo at random, or a part of one in its place."""


Share = tuple[float, Source]
"""A source, and how often it is drawn from in comparison with others."""


class PairSource:
    """Samples of pairs.

    Parameters
    ----------
    pairs : sequence of Pair
    relit : float
        Share of the exposure samples whose dark photo is shown as another exposure would have been
        (`lowlight.data.camera.relit`), so that none is known by its brightness.
    lifted : bool
        Whether the black of some crops is lifted (`lowlight.data.camera.draw_black`): for a graph that can take it off.
    """

    def __init__(self, pairs: Sequence[Pair], relit: float = 0.5, lifted: bool = False):
        self.photos, self.relit, self.lifted = Memory(pairs, _pair_in_memory), relit, lifted

    def draw_crop(self, rng, crop):
        low, high, small_low, small_high = self.photos[rng.integers(len(self.photos))]
        frame = framing(low.shape, crop, rng)
        part, box = window(low.shape, crop, frame, rng)
        dark, whole = low[part], thumbnail(small_low, frame)
        if self.lifted:
            black = camera.draw_black(rng)
            dark, whole = camera.lifted(dark, black), camera.lifted(whole, black)
        return CropSample(dark, high[part], whole, exposure_map(thumbnail(small_high, frame)), box)

    def draw_exposure(self, rng):
        low, high, _, _ = self.photos[rng.integers(len(self.photos))]
        part = _within(low.shape, framing(low.shape, SMALLEST_WHOLE, rng))
        low = camera.relit(low[part], rng) if rng.random() < self.relit else low[part]
        return _exposure_sample(low, high[part])


class CleanSource:
    """Samples of clean photos, each degraded by another simulated `lowlight.data.camera.Camera`.

    Parameters
    ----------
    folders : sequence of sequences of Path
        Photos in groups that are drawn from equally often, however many photos they hold.
    references : int
        So many of the first groups are references of pairs. They are drawn from half of the time, however many other
        groups there are: what a set calls well lit is not to be forgotten for many photos of strangers.
    """

    def __init__(self, folders: Sequence[Sequence[Path]], references: int = 0):
        self.groups = [Memory(photos, _clean_in_memory) for photos in folders]
        parts = [part for part in (range(references), range(references, len(folders))) if part]
        self.shares = [1 / (len(parts) * len(part)) for part in parts for _ in part]
        self.sizes = [len(group) / sum(map(len, self.groups)) for group in self.groups]
        self.broken: set[Path] = set()

    def draw_crop(self, rng, crop):
        colours = surfaces.draw_colours(rng) if rng.random() < RECOLOURED else None
        surface = rng.random()
        clean = self._photo(rng, crop, AT_HALF_SIZE if colours is None and surface >= FLAT else 1)
        if surface < FLAT:
            clean = surfaces.flat_shapes(clean, rng, max(surfaces.FLAT_SIDE, crop))
        elif surface < FLAT + SOFT:
            clean = surfaces.softened(clean)
        frame = framing(clean.shape, crop, rng)
        part, box = window(clean.shape, crop, frame, rng)
        seen, whole = clean[part], camera.pixels_of(clean, frame)
        if colours is not None:
            seen, whole = surfaces.recoloured(seen, colours), surfaces.recoloured(whole, colours)
        low, high, low_small, high_small = camera.degrade_crop(seen, whole, box, camera.draw(rng), rng)
        return CropSample(low, high, thumbnail(low_small), exposure_map(thumbnail(high_small)), box)

    def draw_exposure(self, rng):
        kind = rng.random()
        if kind < NIGHTS:
            shot = dataclasses.replace(camera.draw(rng, AS_TAKEN), lights=True)
            return _exposure_sample(*camera.degrade(self._photo(rng, SMALLEST_WHOLE), shot, rng), learnt=True)
        if kind < NIGHTS + LIT_SUBJECTS and (photo := self._lit_subject(rng)) is not None:
            photo = photo[_within(photo.shape, framing(photo.shape, SMALLEST_WHOLE, rng))]
            shot = dataclasses.replace(camera.draw(rng, AS_TAKEN), stops=0.0, low_key=None)
            return _exposure_sample(*camera.degrade(camera.styled(photo, rng), shot, rng), learnt=True)
        clean, shot = self._photo(rng, SMALLEST_WHOLE), camera.draw(rng, camera.EXPOSURE)
        dark = shot.stops < 1 and rng.random() < DARK_FRAMES
        part = _within(clean.shape, dark_framing(clean, rng) if dark else framing(clean.shape, SMALLEST_WHOLE, rng))
        photo = camera.styled(clean[part], rng) if shot == camera.Camera() else clean[part]
        if shot.dim_only is not None and not camera.is_backlit(photo, shot.dim_only):
            shot = dataclasses.replace(shot, dim_only=None)
        learnt = shot.dim_only is not None or camera.is_noisy_alone(shot)
        return _exposure_sample(*camera.degrade(photo, shot, rng), learnt)

    def _lit_subject(self, rng):
        """A photo of such a subject, or None if none is found; each one equally often, for a group may have few."""
        for _ in range(LOOKED_AT):
            whole, _, lit = self._read(rng, self.sizes)
            if lit:
                return whole
        return None

    def _photo(self, rng, crop, at_half_size=AT_HALF_SIZE):
        """A photo, or, in that share of the draws, one at half its size: that has lost its own noise."""
        whole, half, _ = self._read(rng)
        return half if rng.random() < at_half_size and min(half.shape[:2]) > crop else whole

    def _read(self, rng, shares=None):
        """A photo at random, of groups in these shares; if its header alone could be read, it is left out, and another
        one drawn."""
        group = self.groups[rng.choice(len(self.groups), p=shares or self.shares)]
        index = rng.integers(len(group))
        try:
            return group[index]
        except ImageError as error:
            photo = group.items[index]
            if photo not in self.broken:
                LOG.warning("a clean photo is left out: %s", error)
                self.broken.add(photo)
            if len(self.broken) >= len({one for of_group in self.groups for one in of_group.items}):
                raise
            return self._read(rng, shares)


class Remembered:
    """Another source, but to aim at is what a trained model predicts, not what the reference shows.

    What is to be learnt keeps its reference: what is dark by intent, what is noisy and yet bright enough, and, lest
    that is taken for these, what stands against the light. So the model learns that beside the rest, and forgets less
    (Li & Hoiem 2016, "Learning without forgetting").

    Parameters
    ----------
    source : Source
    predict : callable
        From a batch of overviews by the name `overview`, (1, 64, 64, 5), to exposure maps (1, 8, 8, 1) by the names
        `guess`, behind the identity gate, and `right`, before it.
    """

    def __init__(self, source: Source, predict: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]):
        self.source, self.predict = source, predict

    def draw_crop(self, rng, crop):
        return self.source.draw_crop(rng, crop)

    def draw_exposure(self, rng):
        sample = self.source.draw_exposure(rng)
        if sample.learnt:
            return sample
        predicted = self.predict({"overview": sample.overview[None].astype(np.float32)})
        return sample._replace(exposure_map=predicted["guess"][0], right=predicted["right"][0])


class ExposurePool:
    """Exposure samples by number: each is made when it is first drawn, the same one each time.

    The newest are kept, and learnt from; the others are gone before a model overfits to them.

    Parameters
    ----------
    sources : sequence of (float, Source)
        What samples are drawn from, each with its share of them.
    seed : int
    """

    def __init__(self, sources: Sequence[Share], seed: int):
        self.sources, self.seed = Mixture(sources), seed
        self.kept: dict[int, tuple[int, ExposureSample]] = {}

    def draw(self, rng: np.random.Generator, drawn: int) -> ExposureSample:
        """A sample at random of the newest that there are by the time that `drawn` have been drawn."""
        newest = max(1, drawn // DRAWS_PER_NEW_SAMPLE)
        number = int(rng.integers(max(0, newest - POOL_SIZE), newest))
        place = number % POOL_SIZE
        kept = self.kept.get(place)
        if kept is None or kept[0] != number:
            kept = self.kept[place] = number, self._make(number)
        return kept[1]

    def _make(self, number) -> ExposureSample:
        rng = np.random.default_rng((self.seed, number))
        return self.sources.draw(rng).draw_exposure(rng)


class Mixture:
    """Sources, each with its share."""

    def __init__(self, sources: Sequence[Share]):
        shares, self.sources = zip(*sources, strict=True)
        self.ends = np.cumsum(shares) / sum(shares)

    def draw(self, rng: np.random.Generator) -> Source:
        """One of the sources."""
        return self.sources[np.searchsorted(self.ends, rng.random(), side="right")]


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


def framing(shape: Sequence[int], crop: int, rng: np.random.Generator) -> np.ndarray:
    """What is taken for the whole photo: all of it, half of the time, or a part of at least 0.6 of each side.

    A scene that is framed in many ways is harder to overfit to.

    Parameters
    ----------
    shape : (H, W, ...) of the photo
    crop : int
        Side in pixels of what is to fit in.
    rng : numpy.random.Generator

    Returns
    -------
    (4,) array
        Top, left, bottom and right, in shares of the photo's sides; a crop fits in.
    """
    if rng.random() < 0.5:
        return np.array(WHOLE)
    sides = np.maximum(rng.uniform(0.6, 1, 2), np.minimum(1, (crop + 1) / np.array(shape[:2])))
    starts = rng.random(2) * (1 - sides)
    return np.concatenate([starts, starts + sides])


def dark_framing(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The darkest of five random parts of a photo, (H, W, 3), each of a quarter to nine tenths of its sides.

    Returns
    -------
    (4,) array
        As of `framing`.
    """
    sides = rng.uniform(0.25, 0.9, (5, 2))
    starts = rng.random((5, 2)) * (1 - sides)
    frames = np.concatenate([starts, starts + sides], axis=1)
    return min(frames, key=lambda frame: photo[_within(photo.shape, frame)][::4, ::4].mean())


def window(shape: Sequence[int], crop: int, frame: np.ndarray, rng: np.random.Generator) -> tuple[tuple, np.ndarray]:
    """A random square within a frame of a photo.

    Parameters
    ----------
    shape, crop, rng
        As of `framing`.
    frame : (4,) array
        By `framing`.

    Returns
    -------
    index : tuple of slices
        Of `crop` x `crop` pixels of the photo.
    box : (4,) array
        Top, left, bottom and right of the square, in shares of the frame's sides.
    """
    size = np.array(shape[:2])
    first, last = np.ceil(frame[:2] * size - 1e-6).astype(int), np.floor(frame[2:] * size + 1e-6).astype(int)
    top, left = rng.integers(first, np.maximum(first, last - crop) + 1)
    corners = np.array([top, left, top + crop, left + crop]) / np.tile(size, 2)
    box = (corners - np.tile(frame[:2], 2)) / np.tile(frame[2:] - frame[:2], 2)
    return np.s_[top : top + crop, left : left + crop], box


def _within(shape, frame) -> tuple:
    """The index of a part of a photo."""
    (top, left), (bottom, right) = np.split(np.round(frame * np.tile(shape[:2], 2)).astype(int), 2)
    return np.s_[top:bottom, left:right]


def _exposure_sample(low, high, learnt=False) -> ExposureSample:
    target = exposure_map(thumbnail(high))
    return ExposureSample(overview(low).astype(np.float16), target, target, learnt)


def _pair_in_memory(pair):
    low, high = read_pair(pair)
    return low, high, *(thumbnail(side, side=2 * THUMBNAIL) for side in (low, high))


def _clean_in_memory(path):
    photo = read_rgb(path)
    half = np.asarray(Image.fromarray(photo).reduce(2))
    return photo, half, np.bool_(shows_lit_subject(half))
