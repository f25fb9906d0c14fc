"""What is lost when processes are killed, run into each other, or meet a full disk: nothing, as the counts should show.

    python benchmarks/interruptions.py                                    # all as often as it counts: hours
    python benchmarks/interruptions.py --kills 2 --photos 30              # to try it: minutes
    python benchmarks/interruptions.py --only photos --only disk

Each part works on files that are made for it. A full disk is a small tmpfs that is mounted, for which one must be root.
"""

import dataclasses
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lowlight.cli.parse import parse  # noqa: E402
from lowlight.system import run  # noqa: E402

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the bench."""

    only: tuple[Literal["photos", "batch", "training", "clip", "disk"], ...] = ()
    """This part alone; may be given several times. Default: all of them."""
    kills: int = 20
    """Of each process that is killed."""
    photos: int = 300
    """In the folder."""
    frames: int = 2400
    """Of the clip."""
    model: int = 1
    """Which model enhances."""
    train: int = 1
    """Which model is trained."""
    epochs: int = 40
    """Of its training."""


def start(script, *words):
    """One of the scripts, as a user runs it."""
    command = [sys.executable, str(ROOT / script), *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | QUIET, stdout=pipe, stderr=pipe, text=True)


def finish(process):
    """Its exit status and what it said of errors; a traceback is an error of this benchmark."""
    errors = process.communicate()[1]
    assert "Traceback" not in errors, errors
    return process.returncode, errors.strip()


def wait_for(condition, process):
    """Until the condition holds, or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.02)


def kill_soon(process, seconds):
    """Kill it within so many seconds; whether it was still running."""
    time.sleep(random.uniform(0, seconds))
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def photos(folder, count, size=(300, 200)):
    """So many dark photos of noise."""
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 60, (*size[::-1], 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def hidden(folder):
    return sum(path.name.startswith(".") for path in folder.rglob("*"))


def two_processes(folder, settings):
    source, target = photos(folder / "in", settings.photos), folder / "out"
    logs = [folder / "log0", folder / "log1"]
    for process in [start("main.py", source, "-o", target, "--model", settings.model, "--json", log) for log in logs]:
        status, errors = finish(process)
        assert status == 0, errors
    records = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    done = [record["out"] for record in records if record["status"] == "done"]
    whole = sum(Image.open(path).convert("RGB").size == (300, 200) for path in target.glob("*.png"))
    shares = " and ".join(
        str(sum(json.loads(x)["status"] == "done" for x in log.read_text().splitlines())) for log in logs
    )
    print(f"two processes: {settings.photos} photos, {len(done)} done ({shares}), {len(set(done))} of them different, "
          f"{whole} whole results, {hidden(target)} hidden files left")  # fmt: skip


def killed_batch(folder, settings):
    source, broken, kills = photos(folder / "in", settings.photos), folder / "broken", 0
    words = ("main.py", source, "--model", settings.model, "-o")
    status, errors = finish(start(*words, folder / "whole"))
    assert status == 0, errors
    for _ in range(settings.kills):
        done = len(list(broken.glob("[!.]*")))
        process = start(*words, broken)
        wait_for(lambda done=done: len(list(broken.glob("[!.]*"))) > done, process)
        kills += kill_soon(process, 0.3)
        for path in broken.glob("[!.]*"):
            assert digest(path) == digest(folder / "whole" / path.name), path
    done = len(list(broken.glob("[!.]*")))
    finish(start(*words, broken))
    same = sum(digest(path) == digest(folder / "whole" / path.name) for path in broken.glob("[!.]*"))
    print(f"a folder: {kills} kills, after which {done} photos of {settings.photos} were done; {same} the same bytes "
          f"as of an unbroken run, {hidden(broken)} hidden files left")  # fmt: skip


def training_words(settings, pairs, output):
    words = ("--model", settings.train, "--data", pairs, "--epochs", settings.epochs, "--output", output)
    return ("train_latest.py" if settings.train > 3 else "train_old.py", *words)


def make_pairs(folder):
    rng = np.random.default_rng(0)
    for number in range(12):
        high = Image.fromarray(rng.integers(60, 255, (6, 8, 3), np.uint8)).resize((128, 96), Image.Resampling.BICUBIC)
        for side, picture in (("high", high), ("low", high.point(lambda level: level // 8))):
            (folder / side).mkdir(parents=True, exist_ok=True)
            picture.save(folder / side / f"{number}.png")
    return folder


def killed_training(folder, settings):
    pairs = make_pairs(folder / "pairs")
    whole, broken = folder / "whole", folder / "broken"
    status, errors = finish(start(*training_words(settings, pairs, whole)))
    assert status == 0, errors
    kills = 0
    for _ in range(settings.kills):
        before = (broken / "state.npz").stat().st_mtime_ns if (broken / "state.npz").exists() else 0
        process = start(*training_words(settings, pairs, broken))
        wait_for(
            lambda before=before: (
                (broken / "state.npz").exists() and (broken / "state.npz").stat().st_mtime_ns > before
            ),
            process,
        )
        kills += kill_soon(process, 3)
    finish(start(*training_words(settings, pairs, broken)))
    name = f"model_{settings.train:02}.weights.h5"
    same = digest(whole / name) == digest(broken / name)
    print(f"training: {kills} kills, {'the same' if same else 'OTHER'} weights as of an unbroken run, "
          f"{hidden(broken)} hidden files left")  # fmt: skip


def make_clip(path, frames):
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(frames):
            pixels = np.full((96, 160, 3), 10 + number % 40, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))


def killed_clip(folder, settings):
    make_clip(folder / "clip.mp4", settings.frames)
    words = (folder / "clip.mp4", "--model", settings.model, "-o")
    status, errors = finish(start("main.py", *words, folder / "whole"))
    assert status == 0, errors
    broken, kills = folder / "broken", 0
    for _ in range(settings.kills):
        segments = len(list(broken.glob(".*/*.nut")))
        process = start("main.py", *words, broken)
        wait_for(lambda segments=segments: len(list(broken.glob(".*/*.nut"))) > segments, process)
        kills += kill_soon(process, 1)
    finish(start("main.py", *words, broken))
    same = digest(folder / "whole/clip.mp4") == digest(broken / "clip.mp4")
    print(f"clip: {kills} kills, {'the same' if same else 'OTHER'} bytes as of an unbroken run, "
          f"{hidden(broken)} hidden files left")  # fmt: skip


@contextmanager
def small_disk(folder, megabytes):
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk, kilobytes=0):
    """All of a disk, but for so many."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(2**12)):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - kilobytes * 2**10))


def whole_files(folder):
    """How many files are there; each is what its name says."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    for path in found:
        if path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        else:
            assert path.suffix in (".csv", ".md"), path
            assert path.read_text().endswith("\n"), path
    return len(found)


def full_disk(folder, settings):
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        print("full disk: left out, for only root can mount one")
        return
    source = photos(folder / "in", 12)
    with small_disk(folder / "disk", 1) as disk:
        fill(disk, 200)
        status, errors = finish(start("main.py", source, "-o", disk / "out", "--model", settings.model))
        whole = sum(Image.open(path).convert("RGB").size == (300, 200) for path in (disk / "out").glob("*.png"))
        lines = errors.splitlines()
        print(f"full disk, photos: status {status}, {whole} whole results, {len(lines)} lines of failure, "
              f"{hidden(disk)} hidden files left; {lines[0].rsplit('/', 1)[-1]}")  # fmt: skip
    full_in_training(folder, settings)
    full_in_clip(folder, settings)
    full_in_statistics(folder, settings)


def full_in_training(folder, settings):
    pairs = make_pairs(folder / "pairs")
    with small_disk(folder / "disk2", 16) as disk:
        process = start(*training_words(settings, pairs, disk / "run"))
        wait_for((disk / "run/state.npz").exists, process)
        fill(disk)
        status, errors = finish(process)
        print(f"full disk, training: status {status}; {errors.splitlines()[-1]}")
        (disk / "filler").unlink()
        status, errors = finish(start(*training_words(settings, pairs, disk / "run")))
        print(f"full disk, training goes on: status {status}, {hidden(disk)} hidden files left")


def as_it_fills(disk, sizes, words):
    """Run a command with so many kilobytes left, each time; gives them, the exit status and what was said."""
    for kilobytes in sizes:
        fill(disk, kilobytes)
        yield kilobytes, *finish(start(*words))


def full_in_clip(folder, settings):
    make_clip(folder / "clip.mp4", settings.frames)
    words = ("main.py", folder / "clip.mp4", "--model", settings.model, "-o")
    status, errors = finish(start(*words, folder / "whole"))
    assert status == 0, errors
    with small_disk(folder / "disk3", 64) as disk:
        for kilobytes, status, errors in as_it_fills(disk, (4, 12), (*words, disk / "out")):
            print(f"full disk, a clip, {kilobytes} kB left: status {status}, {len(list(disk.glob('out/[!.]*')))} "
                  f"results; {errors.rsplit('/', 1)[-1]}")  # fmt: skip
        (disk / "filler").unlink()
        status, errors = finish(start(*words, disk / "out"))
        same = digest(folder / "whole/clip.mp4") == digest(disk / "out/clip.mp4")
        print(f"full disk, the clip goes on: status {status}, {'the same' if same else 'OTHER'} bytes as of an "
              f"unbroken run, {hidden(disk)} hidden files left")  # fmt: skip


def full_in_statistics(folder, settings):
    pairs = make_pairs(folder / "pairs2")
    script = "performance_latest.py" if settings.model > 3 else "performance_old.py"
    words = (script, "--model", settings.model, "--data", pairs, "--evaluate-only", "--statistics")
    with small_disk(folder / "disk4", 16) as disk:
        for kilobytes, status, errors in as_it_fills(disk, (0, 16, 80, 200), (*words, disk / "statistics")):
            print(f"full disk, statistics, {kilobytes} kB left: status {status}, {whole_files(disk / 'statistics')} "
                  f"whole files, {hidden(disk)} hidden files left; {errors.splitlines()[-1]}")  # fmt: skip
        (disk / "filler").unlink()
        status, errors = finish(start(*words, disk / "statistics"))
        print(
            f"full disk, statistics once there is room: status {status}, {whole_files(disk / 'statistics')} whole files"
        )


PARTS = {
    "photos": two_processes,
    "batch": killed_batch,
    "training": killed_training,
    "clip": killed_clip,
    "disk": full_disk,
}


def main() -> int:
    settings = parse(Settings, __doc__, command=None)
    random.seed(0)
    for name in settings.only or PARTS:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="interruptions-", ignore_cleanup_errors=True) as folder:
            PARTS[name](Path(folder), settings)
        print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
