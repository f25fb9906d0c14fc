"""How fast main.py is, and how much memory it takes, on this machine.

    python benchmarks/speed.py             # photos of 0.24 to 100 megapixels, and a folder of 200: 10 minutes
    python benchmarks/speed.py --quick     # the small ones, and a folder of 20: 2 minutes
    python benchmarks/speed.py --model 7 --sizes 2 --sizes 24

Photos are made for it, dark and noisy. Each size is run in a process of its own, after a small photo that warms it up;
memory is the most that the whole process held at any time.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lowlight.cli.parse import parse  # noqa: E402
from lowlight.errors import UserError  # noqa: E402
from lowlight.system import run  # noqa: E402

SMALL = 0.24
"""Megapixels of the photos in the folder, and of that which warms a process up."""

ONE_AT_A_TIME = """
import runpy
from lowlight.cli import batch
batch.MOST_PHOTOS = 1
runpy.run_path("main.py", run_name="__main__")
"""

PATCH = 500
"""Side in pixels of the noise that photos are laid out with."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the bench."""

    model: str | None = None
    """As for main.py."""
    sizes: tuple[float, ...] = (SMALL, 2, 12, 24, 100)
    """Megapixels of the photos."""
    folder: int = 200
    """Photos in the folder; 0 leaves it out."""
    format: str = "jpg"
    """Of the photos: jpg, png, tiff and so on."""
    tile: int | None = None
    """As for main.py."""
    quick: bool = False
    """Only 0.24, 2 and 12 megapixels, and 20 photos in the folder."""


class Ended(NamedTuple):
    """What a process took."""

    seconds: float
    computed: float
    """Seconds that cores were busy for it, all together; what else the machine does counts less there."""
    peak: int
    """Bytes of memory."""
    said: str


def main() -> int:
    settings = parse(Settings, __doc__, command=None)
    if settings.quick:
        settings = dataclasses.replace(settings, sizes=(SMALL, 2, 12), folder=20)
    model = [word for name in ("model", "tile") if (value := getattr(settings, name)) for word in (f"--{name}", value)]
    print(f"{_command('--info').said.strip()}\nprocessor: {_processor()}, load {os.getloadavg()[0]:.1f}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as maker:
        # Photos are made in another process: what this one has ever held would count as its children's memory, too.
        places = Path(folder)
        warm = maker.submit(_make, places / f"warm.{settings.format}", SMALL).result()
        alone, (record,) = _enhanced([warm], model, places)
        print("| MP | s/MP | of the processor, s/MP | peak memory |\n| ---: | ---: | ---: | ---: |")
        for size in settings.sizes:
            photos = [
                maker.submit(_make, places / f"{size} {number}.{settings.format}", size).result()
                for number in range(_copies(size))
            ]
            print(_row(size, warm, photos, alone, model, places), flush=True)
            for photo in photos:
                photo.unlink()
        print(f"\n{_start_up(alone, record)}")
        if settings.folder:
            for number in range(settings.folder):
                maker.submit(_make, places / "many" / f"{number}.{settings.format}", SMALL, number).result()
            for way in ("overlapped", "one after the other"):
                print(_throughput(places / "many", model, settings.folder, way), flush=True)
    return 0


def _row(size, warm, photos, alone, model, folder) -> str:
    ended, (_, *records) = _enhanced([warm, *photos], model, folder)
    megapixels = sum(record["width"] * record["height"] for record in records) / 1e6
    seconds = sum(record["seconds"] for record in records) / megapixels
    computed = (ended.computed - alone.computed) / megapixels
    return f"| {size:g} | {seconds:.2f} | {computed:.2f} | {ended.peak / 1e9:.2f} GB |"


def _start_up(ended, record) -> str:
    around, first, version = ended.seconds - record["seconds"], record["seconds"], _command("--version").seconds
    return f"start-up: {around:.1f} s around the first photo, which takes {first:.1f} s; --version: {version:.1f} s"


def _throughput(folder, model, number, way) -> str:
    code = ONE_AT_A_TIME if way != "overlapped" else None
    ended = _command(*model, folder, "-o", folder.with_name("out"), "--overwrite", "-v", code=code)
    told = re.search(r"in ([\d.]+) s \(([\d.]+) s to load .*, ([\d.]+) s in it", ended.said)
    whole, load, inside = map(float, told.groups())
    rate, share = number / (whole - load), inside / (whole - load)
    return f"{number} photos of {SMALL} MP, {way}: {rate:.2f} photos/s, {share:.0%} of the time in the model"


def _copies(size) -> int:
    """So many that a small one is not measured by one try."""
    return max(1, min(8, round(4 / size)))


def _command(*words, code=None) -> Ended:
    start = time.perf_counter()
    command = [sys.executable, *(("-c", code) if code else ("main.py",)), *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(f"main.py has failed. Received: {' '.join(command)}. Run it alone to see why.")
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = time.perf_counter() - start
    return Ended(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, said)


def _enhanced(photos, model, folder) -> tuple[Ended, list[dict]]:
    """A run of its own, and its records."""
    log = folder / "log"
    ended = _command(*model, *photos, "-o", folder / "out", "--overwrite", "-q", "--json", log)
    return ended, [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def _make(path: Path, megapixels: float, seed: int = 0) -> Path:
    """A dark gradient under noise, 3:2."""
    path.parent.mkdir(exist_ok=True)
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(megapixels * 1e6 / height)
    rng = np.random.default_rng(seed)
    patch = np.clip(np.linspace(5, 45, PATCH)[:, None, None] + rng.normal(0, 6, (PATCH, PATCH, 3)), 0, 255)
    image, tile = Image.new("RGB", (width, height)), Image.fromarray(patch.astype(np.uint8))
    for top in range(0, height, PATCH):
        for left in range(0, width, PATCH):
            image.paste(tile, (left, top))
    image.save(path)
    return path


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else "not known"


if __name__ == "__main__":
    sys.exit(run(main))
