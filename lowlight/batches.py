"""Batches of crops for `fit`: each index of each epoch names the same crops whatever came before it.

That makes a run resumable at any step: the only random state is (seed, epoch, index).
"""

import math
from collections.abc import Collection, Sequence

import numpy as np
import psutil

from lowlight.backend import keras
from lowlight.errors import UserError
from lowlight.exposure import gain
from lowlight.images import image_size
from lowlight.pairs import Pair, read_pair

from keras.src.legacy.preprocessing.image import ImageDataGenerator  # isort: skip  tf.keras.preprocessing.image, without TF

COPIES = 2
"""How often the set is in memory while it is loaded and trained on, at worst."""


class Batches(keras.utils.PyDataset):
    """What both generations share: the order of an epoch, and batches as the graphs want them.

    A batch is ``({"photo": (B, C, C, 3), "gain": (B, 1, 1, 1)}, truth (B, C, C, 3))``, float32 in [0, 1], with those
    inputs that `inputs` names. Set `epoch` and `first` (the step to begin with) before each `fit`.
    """

    inputs: Collection[str] = ("photo",)

    def __init__(self, count: int, batch_size: int, seed: int):
        super().__init__(workers=1, max_queue_size=8)
        self.count, self.batch_size, self.seed = count, min(batch_size, count), seed
        self.epoch = self.first = 0

    @property
    def steps(self) -> int:
        """Steps of a whole epoch; a rest that does not fill a batch waits for another epoch's order."""
        return self.count // self.batch_size

    def __len__(self):
        return self.steps - self.first

    def __getitem__(self, index):
        index += self.first
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        lows, highs, gains = zip(*(self.crop_pair(int(i)) for i in chosen), strict=True)
        inputs = {"photo": _to_float(lows), "gain": np.reshape(gains, (-1, 1, 1, 1)).astype("float32")}
        return {name: inputs[name] for name in self.inputs}, _to_float(highs)

    def crop_pair(self, index: int) -> tuple[np.ndarray, np.ndarray, np.float32]:
        """Crop of low and of high (uint8) and the gain of the whole low."""
        raise NotImplementedError


class Patches(Batches):
    """Old: the whole set in memory, cut once into a grid of patches that covers every photo."""

    def __init__(self, pairs: Sequence[Pair], crop: int, batch_size: int, seed: int, announce=print):
        sizes = [image_size(pair.low) for pair in pairs]
        count = sum(len(_grid(h, crop)) * len(_grid(w, crop)) for h, w in sizes)
        need = count * crop * crop * 3 * 2
        _check_memory(need, len(pairs), announce)
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

    def crop_pair(self, index):
        return self.lows[index], self.highs[index], self.gains[index]


class Crops(Batches):
    """Latest: random crops, both sides put through one and the same `ImageDataGenerator` transform.

    Photos stay in memory as 8-bit arrays while half of the free memory lasts; the rest is read when it is needed.
    """

    def __init__(self, pairs: Sequence[Pair], crop: int, crops_per_photo: int, batch_size: int, seed: int, flips: bool):
        super().__init__(len(pairs) * crops_per_photo, batch_size, seed)
        self.pairs, self.crop = list(pairs), crop
        self.generator = ImageDataGenerator(horizontal_flip=flips, vertical_flip=flips)
        self.memory: dict[int, tuple] = {}
        self.free = psutil.virtual_memory().available // 2

    def crop_pair(self, index):
        low, high, whole_gain = self._photos(index % len(self.pairs))
        seed = np.random.SeedSequence((self.seed, self.epoch, index)).generate_state(3)
        top, left = seed[:2] % (np.array(low.shape[:2]) - self.crop + 1)
        window = np.s_[top : top + self.crop, left : left + self.crop]
        transform = self.generator.get_random_transform((self.crop, self.crop, 3), seed=int(seed[2]))
        low, high = (self.generator.apply_transform(side[window], transform) for side in (low, high))
        return low, high, whole_gain

    def _photos(self, index):
        if index in self.memory:
            return self.memory[index]
        low, high = read_pair(self.pairs[index])
        photos = (low, high, gain(low))
        if low.nbytes + high.nbytes <= self.free:
            self.free -= low.nbytes + high.nbytes
            self.memory[index] = photos
        return photos


def fitting_crop(pairs: Sequence[Pair], crop: int, multiple: int) -> int:
    """The crop asked for, or the largest that the smallest photo holds.

    Raises
    ------
    UserError
        If `crop` is no multiple of `multiple`, or the smallest photo is smaller than that.
    """
    if crop < multiple or crop % multiple:
        raise UserError(f"The side of the crops must be a multiple of {multiple}. Received: --crop {crop}.")
    side, name = min((min(image_size(pair.low)), pair.name) for pair in pairs)
    if side < multiple:
        raise UserError(
            f"Photos must be at least {multiple} pixels wide and high. Received: {name} with a side of {side}. "
            "Take it out of both folders."
        )
    return min(crop, side // multiple * multiple)


def _grid(side, crop):
    """Evenly spread starts of the fewest crops that cover a side."""
    return np.linspace(0, side - crop, math.ceil(side / crop)).round().astype(int)


def _to_float(images):
    return np.stack(images).astype(np.float32) / 255


def _check_memory(need, photos, announce):
    free = psutil.virtual_memory().available
    announce(f"{photos} photos take {need / 2**30:.2f} GiB of memory; {free / 2**30:.1f} GiB are free")
    if need * COPIES > free:
        raise UserError(
            f"The set does not fit in memory. Received: {photos} photos that take {need / 2**30:.1f} GiB, with "
            f"{free / 2**30:.1f} GiB free. Use fewer photos, or train_latest.py, which reads them as it goes."
        )
