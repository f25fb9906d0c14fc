"""Files that are broken at random, read as a folder's are: nothing may crash, hang, grow, or end in a traceback.

    python -m tests.fuzz                          # a minute
    python -m tests.fuzz --seconds 3600 --seed 1  # an hour, with other files
    python -m tests.fuzz --also holiday/          # of files of your own, too

Each file is made from one that is whole, or from one that was found to do harm before (tests/finds): bits and bytes are
changed, numbers put in, parts cut off, taken out, doubled and taken from another. A find is kept under --keep by a name
that says what it did and how it was made. Exit status 1 if there was one.
"""

import dataclasses
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import av
import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from lowlight.cli.jobs import KNOWN
from lowlight.cli.parse import parse
from lowlight.errors import UserError
from lowlight.inference.video import is_clip
from lowlight.io.clip import read_frames, read_head
from lowlight.io.photo import image_size, read_photo
from lowlight.io.worker import Limits, Worker
from lowlight.system import run
from tests import corpus
from tests.conftest import scene

FINDS = Path(__file__).parent / "finds"

LIMITS = Limits(memory=2**30, seconds=20)
"""For files of some kilobytes; seconds are those of a busy machine."""

LARGEST = 300_000
"""Bytes of a file that is taken as a start; of larger ones too few changes hit what matters."""

FRAMES = 12
"""Of a clip that are decoded."""

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)

HARM = {
    "its decoder crashed": "crashed",
    "its decoder gave up": "crashed",
    "it takes more than": "too long",
    "it needs more than": "too large",
}
"""What the worker says, and how it is counted."""

OUTCOMES = ("read", "refused", "crashed", "too long", "too large", "traceback")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the search."""

    seconds: float = 60
    """How long to search."""
    seed: int = 0
    """Another number makes other files."""
    also: Path | None = None
    """A folder of files to start from, beside those that are made."""
    only: str = ""
    """Kinds to read, by the end of their names, such as tif,png. Default: all."""
    keep: Path = Path("finds")
    """Where files that did harm are kept."""


def main() -> int:
    settings = parse(Settings, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        starts = make_starts(Path(folder), settings)
        counts, finds = search(starts, Path(folder), settings)
    print(f"{'kind':<8}" + "".join(f"{outcome:>11}" for outcome in OUTCOMES))
    for kind in sorted(starts):
        print(f"{kind:<8}" + "".join(f"{counts[kind, outcome]:>11}" for outcome in OUTCOMES))
    total = [sum(counts[kind, outcome] for kind in starts) for outcome in OUTCOMES]
    print(f"{'all':<8}" + "".join(f"{number:>11}" for number in total))
    for find in finds:
        print(find)
    return 1 if finds else 0


def search(starts: dict[str, list[bytes]], folder: Path, settings: Settings) -> tuple[Counter, list[str]]:
    """Read broken files, of each kind in turn.

    Returns
    -------
    counts : Counter
        Files by kind and outcome.
    finds : list of str
        A line for each that did harm.
    """
    counts, finds, end = Counter(), [], time.monotonic() + settings.seconds
    with Worker() as worker:
        for number in range(sys.maxsize):
            for kind, files in starts.items():
                if time.monotonic() > end:
                    return counts, finds
                rng = np.random.default_rng([settings.seed, number, *kind.encode()])
                path = folder / f"broken.{kind}"
                path.write_bytes(broken(rng, files))
                outcome, reason = outcome_of(worker, path)
                counts[kind, outcome] += 1
                if outcome not in ("read", "refused"):
                    settings.keep.mkdir(parents=True, exist_ok=True)
                    kept = settings.keep / f"{outcome.replace(' ', '_')}-{settings.seed}-{number}.{kind}"
                    kept.write_bytes(path.read_bytes())
                    finds.append(f"{kept}: {reason}")
    raise AssertionError


def outcome_of(worker: Worker, path: Path) -> tuple[str, str]:
    """What became of a file, of `OUTCOMES`, and what was said."""
    try:
        if is_clip(path):
            worker.call(read_head, path, limits=LIMITS)
            frames = worker.iterate(read_frames, path, limits=LIMITS)
            for _ in islice(frames, FRAMES):
                pass
            frames.close()
        else:
            worker.call(image_size, path, limits=LIMITS)
            worker.call(read_photo, path, None, True, limits=LIMITS)
    except UserError as error:
        return next((harm for words, harm in HARM.items() if words in str(error)), "refused"), str(error)
    except Exception as error:
        return "traceback", str(error)
    return "read", ""


def broken(rng: np.random.Generator, files: list[bytes]) -> bytes:
    """One of the files, changed in one to eight places, half of them near its beginning, where headers are."""
    data = bytearray(files[rng.integers(len(files))])
    other = files[rng.integers(len(files))]
    for _ in range(min(8, rng.geometric(0.4))):
        if not data:
            break
        reach = min(len(data), 512) if rng.random() < 0.5 else len(data)
        at = int(rng.integers(reach))
        length = int(min(2 ** rng.integers(1, 12), len(data) - at))
        change = rng.integers(8)
        if change == 0:
            data[at] ^= 1 << rng.integers(8)
        elif change == 1:
            data[at] = rng.integers(256)
        elif change in (2, 3):
            size, order = rng.choice([2, 4, 8]), rng.choice(["little", "big"])
            number = int(rng.choice(NUMBERS)) % 2 ** (8 * int(size))
            data[at : at + size] = number.to_bytes(int(size), str(order))
        elif change == 4 and rng.random() < 0.3:
            del data[at:]
        elif change == 5:
            del data[at : at + length]
        elif change == 6:
            data[at:at] = data[at : at + length]
        elif change == 7:
            start = int(rng.integers(len(other)))
            data[at : at + length] = other[start : start + length]
    return bytes(data)


def make_starts(folder: Path, settings: Settings) -> dict[str, list[bytes]]:
    """Files to start from, by the end of their names without its dot."""
    made = folder / "whole"
    for entry in corpus.make(made):
        if entry.kind == "bad":
            entry.path.unlink(missing_ok=True)
    _photos(made)
    _clips(made)
    folders = [made, FINDS, *([settings.also] if settings.also else [])]
    starts: dict[str, list[bytes]] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        kind = path.suffix.lower().removeprefix(".")
        if f".{kind}" in KNOWN and path.is_file() and 0 < path.stat().st_size <= LARGEST:
            starts.setdefault(kind, []).append(path.read_bytes())
    only = settings.only.split(",") if settings.only else list(starts)
    return {kind: files for kind, files in starts.items() if kind in only}


def _photos(folder):
    """Of what the corpus lacks."""
    picture = scene(3, 40, 60)
    deep = picture.astype(np.uint16) * 257
    (folder / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(picture))
    (folder / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(picture, codecformat="jp2"))
    for compression in ("jpeg", "jpeg2000", "jpegxl", "jpegxr", "lerc", "webp", "png", "lzw", "zlib", "zstd", "lzma"):
        for levels in (picture, deep):
            try:
                tifffile.imwrite(folder / f"{compression}{levels.itemsize}.tif", levels, compression=compression)
            except (ValueError, RuntimeError, imagecodecs.DelayedImportError):
                continue
    tifffile.imwrite(folder / "tiles.tif", deep, tile=(16, 32), photometric="rgb")
    floats = picture.astype(np.float32) / 255
    tifffile.imwrite(folder / "float.tif", floats, photometric="rgb", compression="zlib", predictor=True)
    for name in ("a.ppm", "a.gif", "a.jfif", "a.bmp"):
        Image.fromarray(picture).save(folder / name, "JPEG" if name.endswith("jfif") else None)


def _clips(folder):
    kinds = {
        "a.mp4": ("libx264", "yuv420p", {}),
        "b.mp4": ("libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
        "a.mkv": ("ffv1", "yuv420p", {}),
        "a.webm": ("libvpx-vp9", "yuv420p", {}),
        "a.avi": ("mjpeg", "yuvj422p", {}),
        "a.mov": ("prores_ks", "yuv422p10le", {}),
        "a.mpg": ("mpeg2video", "yuv420p", {}),
    }
    for name, (codec, form, options) in kinds.items():
        with av.open(str(folder / name), "w") as file:
            stream = file.add_stream(codec, rate=24, options=options)
            stream.height, stream.width, stream.pix_fmt = 48, 64, form
            for number in range(8):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number // 4, 48, 64), format="rgb24")))
            file.mux(stream.encode(None))


if __name__ == "__main__":
    sys.exit(run(main))
