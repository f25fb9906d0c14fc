"""Batches of crops for `fit`: each index of each epoch names the same crops whatever came before it.

That makes a run resumable at any step: the only random state is (seed, epoch, index).
"""

import logging
import math
from collections.abc import Collection, Sequence
from functools import lru_cache
from threading import Lock

import numpy as np
import psutil

from lowlight.backend import keras
from lowlight.data.pairs import Pair, read_pair
from lowlight.data.samplers import ExposurePool, Memory, Mixture, Share
from lowlight.errors import UserError
from lowlight.imaging.exposure import gain
from lowlight.imaging.pixels import as_float
from lowlight.imaging.symmetry import SYMMETRIES, apply_symmetry, apply_symmetry_to_box
from lowlight.io.photo import image_size

from keras.src.legacy.preprocessing.image import ImageDataGenerator  # isort: skip  tf.keras.preprocessing.image, without TF

LOG = logging.getLogger(__name__)

COPIES = 2
"""How often the set is in memory while it is loaded and trained on, at worst."""


class Batches(keras.utils.PyDataset):
    """What both generations share: the order of an epoch, and batches as the graphs want them.

    A batch is what goes into the graph and what should come out, by name, float32 in [0, 1]; those that `inputs` and
    `outputs` name. Set `epoch` and `first` (the step to begin with) before each `fit`. A photo that cannot be read ends
    `fit` with an error of the framework's own; `error` is why.
    """

    inputs: Collection[str] = ("photo",)
    outputs: Collection[str] = ("output",)
    share: slice = slice(None)
    """Of each batch; other processes make the rest."""

    def __init__(self, count: int, batch_size: int, seed: int):
        super().__init__(workers=1, max_queue_size=8)
        self.count, self.batch_size, self.seed = count, min(batch_size, count), seed
        self.epoch = self.first = 0
        self.error: UserError | None = None

    @property
    def steps(self) -> int:
        """Steps of a whole epoch; a rest that does not fill a batch waits for another epoch's order."""
        return self.count // self.batch_size

    def __len__(self):
        return self.steps - self.first

    def __getitem__(self, index):
        start = (index + self.first) * self.batch_size
        chosen = _order(self.seed, self.epoch, self.count)[start : start + self.batch_size][self.share]
        try:
            inputs, truths = zip(*(self.example(int(i)) for i in chosen), strict=True)
        except UserError as error:
            self.error = error
            raise
        given, truth = _stacked(inputs, self.inputs), _stacked(truths, self.outputs)
        return given, truth["output"] if self.outputs == ("output",) else truth

    def example(self, index: int) -> tuple[dict, dict]:
        """What goes into the graph and what should come out of it, by name; photos may be uint8."""
        raise NotImplementedError


class Patches(Batches):
    """Old: the whole set in memory, cut once into a grid of patches that covers every photo."""

    def __init__(self, pairs: Sequence[Pair], crop: int, batch_size: int, seed: int):
        sizes = [image_size(pair.low) for pair in pairs]
        count = sum(len(_grid(h, crop)) * len(_grid(w, crop)) for h, w in sizes)
        need = count * crop * crop * 3 * 2
        _check_memory(need, len(pairs))
        self.lows = np.empty((count, crop, crop, 3), np.uint8)
        self.highs = np.empty_like(self.lows)
        self.gains = np.empty(count, np.float32)
        row = 0
        for pair in pairs:
            low, high = read_pair(pair)
            whole_gain = gain(low)
            for top in _grid(low.shape[0], crop):
                for left in _grid(low.shape[1], crop):
                    window = np.s_[top : top + crop, left : left + crop]
                    self.lows[row], self.highs[row], self.gains[row] = low[window], high[window], whole_gain
                    row += 1
        super().__init__(count, batch_size, seed)

    def example(self, index):
        gain_of_whole = np.full((1, 1, 1), self.gains[index])
        return {"photo": self.lows[index], "gain": gain_of_whole}, {"output": self.highs[index]}


class Crops(Batches):
    """Latest: random crops, both sides put through one and the same `ImageDataGenerator` transform."""

    def __init__(self, pairs: Sequence[Pair], crop: int, crops_per_photo: int, batch_size: int, seed: int, flips: bool):
        super().__init__(len(pairs) * crops_per_photo, batch_size, seed)
        self.photos, self.crop = Memory(pairs, _with_gain), crop
        self.generator, self.drawing = ImageDataGenerator(horizontal_flip=flips, vertical_flip=flips), Lock()

    def example(self, index):
        low, high, whole_gain = self.photos[index % len(self.photos)]
        seed = np.random.SeedSequence((self.seed, self.epoch, index)).generate_state(3)
        top, left = seed[:2] % (np.array(low.shape[:2]) - self.crop + 1)
        window = np.s_[top : top + self.crop, left : left + self.crop]
        with self.drawing:  # it seeds the one generator of NumPy that all threads share
            transform = self.generator.get_random_transform((self.crop, self.crop, 3), seed=int(seed[2]))
        low, high = (self.generator.apply_transform(side[window], transform) for side in (low, high))
        return {"photo": low, "gain": np.full((1, 1, 1), whole_gain)}, {"output": high}


class GlobalCrops(Batches):
    """Random crops with the thumbnail and the exposure map of their whole photos, all in one random symmetry.

    With them come other whole photos, from which the prediction of exposure learns; they alone, if the graph that is
    trained has no input `photo`.

    Parameters
    ----------
    crops, exposures : sequences of (float, Source)
        Where crops and whole photos come from, each with its share of them.
    count : int
        Crops in an epoch.
    """

    def __init__(
        self, crops: Sequence[Share], exposures: Sequence[Share], count: int, crop: int, batch_size: int, seed: int
    ):
        super().__init__(count, batch_size, seed)
        self.sources, self.pool, self.crop = Mixture(crops), ExposurePool(exposures, seed), crop

    def example(self, index):
        rng = np.random.default_rng((self.seed, self.epoch, index))
        inputs: dict = {}
        truths: dict = {}
        if "overview" in self.inputs:
            symmetry = int(rng.integers(len(SYMMETRIES)))
            sample = self.pool.draw(rng, (self.epoch + 1) * self.count)
            overview, guess, right = (apply_symmetry(array, symmetry) for array in sample[:3])
            inputs, truths = {"overview": overview}, {"guess": guess, "right": right}
        return (inputs, truths) if "photo" not in self.inputs else self._with_crop(inputs, truths, rng)

    def _with_crop(self, inputs, truths, rng):
        sample = self.sources.draw(rng).draw_crop(rng, self.crop)
        symmetry = rng.integers(len(SYMMETRIES))
        low, high, small, target = (apply_symmetry(array, symmetry) for array in sample[:4])
        box = apply_symmetry_to_box(sample.box, symmetry)
        inputs |= {"photo": low, "thumbnail": small, "box": box, "level": target, "white_balance": np.ones(1)}
        return inputs, truths | {"output": high, "base": high}


def check_crop(crop: int, multiple: int) -> None:
    """Can crops be so large?

    Raises
    ------
    UserError
        If `crop` is no multiple of `multiple`, both in pixels.
    """
    if crop < multiple or crop % multiple:
        raise UserError(f"The side of the crops must be a multiple of {multiple}. Received: --crop {crop}.")


def fitting_crop(pairs: Sequence[Pair], crop: int, multiple: int) -> int:
    """The crop asked for, or the largest that the smallest photo holds.

    Parameters
    ----------
    pairs : sequence of Pair
    crop : int
        Side in pixels.
    multiple : int
        Of what the result is a multiple, in pixels.

    Raises
    ------
    UserError
        As `check_crop`, or if the smallest photo is smaller than `multiple`.
    """
    check_crop(crop, multiple)
    side, name = min((min(image_size(pair.low)), pair.name) for pair in pairs)
    if side < multiple:
        raise UserError(
            f"Photos must be at least {multiple} pixels wide and high. Received: {name} with a side of {side}. "
            "Take the photos of that name out of both folders."
        )
    fitting = min(crop, side // multiple * multiple)
    if fitting < crop:
        LOG.warning("crops are of %s pixels in place of %s: %s has a side of %s", fitting, crop, name, side)
    return fitting


@lru_cache(maxsize=1)
def _order(seed, epoch, count) -> np.ndarray:
    """Of the examples of an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def _with_gain(pair):
    low, high = read_pair(pair)
    return low, high, gain(low)


def _grid(side, crop):
    """Evenly spread starts of the fewest crops that cover a side."""
    return np.linspace(0, side - crop, math.ceil(side / crop)).round().astype(int)


def _stacked(examples, names) -> dict[str, np.ndarray]:
    """Batches of what examples have by these names, as floats; what goes by two names is stacked once."""
    batches: dict[tuple[int, ...], np.ndarray] = {}
    stacked = {}
    for name in names:
        arrays = [example[name] for example in examples]
        key = tuple(map(id, arrays))
        if key not in batches:
            batches[key] = np.stack([as_float(array) for array in arrays])
        stacked[name] = batches[key]
    return stacked


def _check_memory(need, photos):
    free = psutil.virtual_memory().available
    LOG.info("%s photos take %.2f GiB of memory; %.1f GiB are free", photos, need / 2**30, free / 2**30)
    if need * COPIES > free:
        raise UserError(
            f"The set does not fit in memory. Received: {photos} photos that take {need / 2**30:.1f} GiB, with "
            f"{free / 2**30:.1f} GiB free. Use fewer photos, or train_latest.py, which reads them as it goes."
        )
