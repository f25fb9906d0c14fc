"""What it costs that photos are read in a process of their own, on this machine.

    python benchmarks/worker.py             # 40 photos of 0.24, 8 of 12 and 3 of 48 megapixels: 5 minutes
    python benchmarks/worker.py --model 7

Each folder of photos, made for it, is enhanced both ways in turn, each time by a new process; the quickest of three
counts. Reading alone is timed, too, in one process for all. Seconds of folders are those that processors worked, which
tell the cost also where other programs run.
"""

import dataclasses
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lowlight.cli.parse import parse  # noqa: E402
from lowlight.io.photo import image_size, read_photo  # noqa: E402
from lowlight.io.worker import Worker, count_pixels, read_apart  # noqa: E402
from lowlight.system import run  # noqa: E402

FOLDERS = {0.24: 40, 12: 8, 48: 3}
"""Photos by their megapixels."""

ROUNDS = 3

TOGETHER = """
import runpy
from lowlight.io import worker
worker.POSSIBLE = False
runpy.run_path("main.py", run_name="__main__")
"""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the bench."""

    model: str | None = None
    """As for main.py."""


def main() -> int:
    settings = parse(Settings, __doc__)
    print("| photos | reading one, here | apart | a folder, here | apart | cost |")
    print("|---|---|---|---|---|---|")
    for megapixels, number in FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            photos = _make(Path(folder) / "photos", megapixels, number)
            alone = _reading(photos)
            here, apart = _enhancing(photos, Path(folder) / "out", settings)
            milliseconds = " | ".join(f"{1000 * seconds:.1f} ms" for seconds in alone)
            cost = f"{100 * (apart / here - 1):+.1f} %"
            print(
                f"| {number} of {megapixels} MP | {milliseconds} | {here:.2f} s | {apart:.2f} s | {cost} |", flush=True
            )
    return 0


def _make(folder, megapixels, number) -> list[Path]:
    folder.mkdir()
    height = int((megapixels * 1e6 / 1.5) ** 0.5)
    rng = np.random.default_rng(0)
    patch = rng.integers(0, 60, (500, 500, 3), np.uint8)
    pixels = np.tile(patch, (height // 500 + 1, height * 3 // 1000 + 1, 1))[:height, : height * 3 // 2]
    paths = [folder / f"{index}.jpg" for index in range(number)]
    for path in paths:
        Image.fromarray(pixels).save(path, quality=90)
    return paths


def _reading(photos) -> tuple[float, float]:
    """Seconds a photo, as the command does it: the header for its weight, then all of it; here, and apart."""
    with Worker() as worker:

        def apart(path):
            read_apart(worker, path, pixels=count_pixels(worker, path))

        def here(path):
            image_size(path)
            read_photo(path, levels=True)

        apart(photos[0])  # by then it is there
        return _quickest(lambda: [here(path) for path in photos], len(photos)), _quickest(
            lambda: [apart(path) for path in photos], len(photos)
        )


def _enhancing(photos, target, settings) -> list[float]:
    options = [*map(str, photos), "-o", str(target), "--overwrite", "--quiet"]
    options += ["--model", settings.model] if settings.model else []
    best = [float("inf")] * 2
    for _ in range(ROUNDS):
        for way, command in enumerate(([sys.executable, "-c", TOGETHER], [sys.executable, "main.py"])):
            start = _spent()
            subprocess.run([*command, *options], cwd=ROOT, check=True)
            best[way] = min(best[way], _spent() - start)
    return best


def _spent() -> float:
    """Seconds of processors that all processes took which have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _quickest(function, parts) -> float:
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function()
        seconds.append((time.perf_counter() - start) / parts)
    return min(seconds)


if __name__ == "__main__":
    sys.exit(run(main))
