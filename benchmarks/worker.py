"""What it costs that photos are read in a process of their own, on this machine.

    python benchmarks/worker.py             # the photos in test/low, and one of 24 megapixels: minutes
    python benchmarks/worker.py --model 7

The photos are enhanced both ways in turn, each time by a new process; the quickest of three counts. Reading alone is
timed, too, in one process for all. Seconds of enhancing are those that processors worked, which tell the cost where
other programs run, too.
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
from lowlight.io.photo import image_size, list_images, read_photo  # noqa: E402
from lowlight.io.worker import Worker, count_pixels, read_apart  # noqa: E402
from lowlight.system import run  # noqa: E402

MEGAPIXELS = 24
"""Of the photo that is made."""

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
    settings = parse(Settings, __doc__, command=None)
    print("| photos | reading one, here | apart | enhancing all, here | apart | cost |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "those in test/low": list_images(ROOT / "test" / "low"),
            f"one of {MEGAPIXELS} MP": [_make(Path(folder) / "large.jpg")],
        }
        for name, photos in sets.items():
            alone = _reading(photos)
            here, apart = _enhancing(photos, Path(folder) / "out", settings)
            milliseconds = " | ".join(f"{1000 * seconds:.1f} ms" for seconds in alone)
            cost = f"{100 * (apart / here - 1):+.1f} %"
            print(f"| {name} | {milliseconds} | {here:.2f} s | {apart:.2f} s | {cost} |", flush=True)
    return 0


def _make(path) -> Path:
    height = int((MEGAPIXELS * 1e6 / 1.5) ** 0.5)
    patch = np.random.default_rng(0).integers(0, 60, (500, 500, 3), np.uint8)
    pixels = np.tile(patch, (height // 500 + 1, height * 3 // 1000 + 1, 1))[:height, : height * 3 // 2]
    Image.fromarray(pixels).save(path, quality=90)
    return path


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
