"""How many crops a second one core, or several, make for training, on this machine.

    python benchmarks/crops.py
    python benchmarks/crops.py --threads 2

The batches of models 8, 11 and 12, as `fit` gets them, of photos of 600x400 that are made for it, with one BLAS thread.
Seconds are those that the processor worked or, for several threads, those of the clock; the first ones, in which photos
are read, do not count.
"""

import dataclasses
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lowlight.cli.parse import parse  # noqa: E402
from lowlight.data.loaders import Batches, Crops, GlobalCrops  # noqa: E402
from lowlight.data.matching import Pair  # noqa: E402
from lowlight.data.samplers import CleanSource, PairSource  # noqa: E402
from lowlight.system import run  # noqa: E402
from lowlight.zoo.recipes import recipe  # noqa: E402

PHOTOS = 20

AT_A_TIME = 20
"""Batches that the threads share out among them."""

CROP_INPUTS = ("photo", "thumbnail", "box", "level", "white_balance")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the bench."""

    seconds: float = 10
    """How long each kind of batch is made."""
    threads: int = 1
    """How many make them, as `--workers` of a training; they share Python's lock."""


def main() -> int:
    settings = parse(Settings, __doc__, command=None)
    print("| batches of | a second |")
    print("|---|---:|")
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, user_api="blas"):
        for name, batches in _kinds(Path(folder)).items():
            print(f"| {name} | {_speed(batches, settings):.0f} |", flush=True)
    return 0


def _kinds(folder) -> dict[str, Batches]:
    pairs = [_pair(folder, seed) for seed in range(PHOTOS)]
    lol = PairSource(pairs)
    shares = recipe(12).mixture
    mixed = [
        (shares[0] + shares[1], PairSource(pairs, lifted=True)),
        (shares[2], CleanSource([[pair.high for pair in pairs]])),
    ]
    count, crop, size = 100_000, recipe(12).crop, recipe(12).batch_size
    kinds: dict[str, Batches] = {"crops for model 8": Crops(pairs, crop, count // PHOTOS, size, 0, True)}
    for name, sources in (("model 11", [(1.0, lol)]), ("model 12", mixed)):
        kinds[f"crops for {name}"] = crops = GlobalCrops(sources, sources, count, crop, size, 0)
        crops.inputs, crops.outputs = CROP_INPUTS, ("output", "base")
    return kinds


def _speed(batches, settings) -> float:
    """Examples a second."""
    clock = time.process_time if settings.threads == 1 else time.perf_counter
    for index in range(2 * PHOTOS):
        batches[index]
    done, start = 0, clock()
    with ThreadPoolExecutor(settings.threads) as pool:
        while clock() - start < settings.seconds:
            done += len([*pool.map(batches.__getitem__, range(done, done + AT_A_TIME))])
    return done * batches.batch_size / (clock() - start)


def _pair(folder, seed) -> Pair:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(40, 255, (8, 12, 3), dtype=np.uint8))
    high = np.asarray(small.resize((600, 400), Image.Resampling.BICUBIC))
    pair = Pair(str(seed), *(folder / f"{side}_{seed}.png" for side in ("low", "high")))
    for path, pixels in ((pair.low, high // 10), (pair.high, high)):
        Image.fromarray(pixels).save(path, compress_level=1)
    return pair


if __name__ == "__main__":
    sys.exit(run(main))
