"""Fixtures: small folders of pairs, made anew for each test that wants one."""

import dataclasses
import gc
import logging
import os
import runpy
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowlight.data.pairs import Pair
from lowlight.zoo.recipes import RECIPES, Stage

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config):
    """Tests in several processes take a core each, as does what they start: more threads would be in their way."""
    os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)  # else what processes say, which tests compare, would depend on it
    if hasattr(config, "workerinput"):
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")
    if os.name == "posix":  # else what tests start in the background would not heed those that are ignored there
        for signum, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(signum) == signal.SIG_IGN:
                signal.signal(signum, action)


def pytest_collection_modifyitems(items):
    """The slow ones first: what is short fills up the rest of the time of several processes."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish():
    """What is imported stays: to look for what can be collected among all of it takes most of a second each time."""
    gc.freeze()


def pytest_sessionfinish():
    gc.unfreeze()


def scene(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A well-lit picture of soft shapes, (H, W, 3) uint8; another seed is another scene."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(60, 255, (6, 8, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def write_pair(folder: Path, name: str, high: np.ndarray, low: np.ndarray | None = None) -> None:
    """Write high/NAME.png and low/NAME.png, which is a tenth as bright unless it is given."""
    for side, pixels in (("low", high // 10 if low is None else low), ("high", high)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / side / f"{name}.png")


def write_shots(folder: Path) -> Path:
    """Write eight pairs of scenes with noise and without, equally bright, into a folder, which is given back."""
    rng = np.random.default_rng(0)
    for seed in range(8):
        clean = scene(seed)
        noisy = np.clip(clean + rng.normal(0, 10, clean.shape), 0, 255).astype(np.uint8)
        write_pair(folder, f"shot{seed}", clean, noisy)
    return folder


def make_pair(folder, name, low, high):
    """Write one pair of 12x16 photos: each side a level of grey, or an array."""
    paths = []
    for side, value in (("low", low), ("high", high)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        pixels = np.full((12, 16, 3), value, np.uint8) if np.isscalar(value) else value
        Image.fromarray(pixels).save(folder / side / f"{name}.png")
        paths.append(folder / side / f"{name}.png")
    return Pair(name, *paths)


class News(logging.Handler):
    """What the logger `lowlight` said, as scripts show it."""

    text = ""

    def emit(self, record):
        self.text += f"{record.getMessage()}\n"


@contextmanager
def news_of():
    """What is said meanwhile."""
    logger, news = logging.getLogger("lowlight"), News()
    before = logger.level
    logger.addHandler(news)
    logger.setLevel(logging.INFO)
    yield news
    logger.removeHandler(news)
    logger.setLevel(before)


@pytest.fixture
def news():
    with news_of() as found:
        yield found


@pytest.fixture
def blank_plots(monkeypatch):
    """No plots, for tests that look at text only."""
    for name in ("metric", "loss", "bars", "cost", "photos"):
        monkeypatch.setattr(f"lowlight.benchmark.plots.{name}", lambda *facts: b"")


@pytest.fixture
def script(monkeypatch):
    """A function that runs one of the scripts in this process, with words as at a prompt; gives its exit status."""

    monkeypatch.setattr("lowlight.system.end", sys.exit)  # which would end this process, too
    # As in a new process, which TensorFlow is not loaded into; other tests have loaded it into this one.
    monkeypatch.setattr("lowlight.inference.engines._is_loaded", lambda: False)

    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / name), run_name="__main__")
        return end.value.code

    return run


class Here:
    """In place of a `lowlight.io.worker.Worker`, where starting a process is not the point."""

    def call(self, function, *arguments, limits=None):
        return function(*arguments)

    def iterate(self, function, *arguments, limits=None):
        return function(*arguments)


@pytest.fixture
def interrupted_after():
    """A context in which a training is asked to stop once it has done so many steps, as by Ctrl-C."""
    from lowlight.training.callbacks import Clock

    @contextmanager
    def interrupted_after(steps):
        def stop(clock, batch, logs=None):
            count(clock, batch, logs)
            if clock.state.total_steps == steps:
                signal.raise_signal(signal.SIGINT)

        count = Clock.on_train_batch_end
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Clock, "on_train_batch_end", stop)
            yield

    return interrupted_after


@contextmanager
def files_of_at_most(size):
    """The system (POSIX) refuses to write further, as it does on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_as_at_a_terminal():
    """Also where these tests run in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def grey_pairs(tmp_path):
    """Three pairs whose highs are 51, 102 and 153 levels above their lows (0.2, 0.4 and 0.6)."""
    return tuple(make_pair(tmp_path / "our485", f"p{i}", 20, 20 + 51 * i) for i in (1, 2, 3))


@pytest.fixture
def pairs_folder(tmp_path) -> Path:
    """Eight pairs of eight scenes, 48x64 pixels, in low/ and high/."""
    folder = tmp_path / "pairs"
    for seed in range(8):
        write_pair(folder, f"photo{seed}", scene(seed))
    return folder


@pytest.fixture
def narrow(monkeypatch):
    """Models 10 and 11 with few and narrow layers: what takes seconds of a short training is to trace its graph."""
    for number, crops in ((10, 16), (11, 4)):
        settings = RECIPES[number].settings | {"widths": [8, 8], "blocks": [1, 1]}
        plan = dataclasses.replace(RECIPES[number], settings=settings, crops_per_photo=crops)
        monkeypatch.setitem(RECIPES, number, plan)
    few = Stage("exposure", 1.0, {"crops_per_photo": 64})
    monkeypatch.setattr("lowlight.training.stages.EXPOSURE_STAGE", few)


@pytest.fixture
def shallow(monkeypatch):
    """Model 10 with the graph of model 1, where no graph matters: it is traced in a second."""
    plan = dataclasses.replace(RECIPES[10], architecture="plain", settings={})
    monkeypatch.setitem(RECIPES, 10, plan)


@pytest.fixture
def brief(monkeypatch):
    """Trainings of two crops a photo, step by step: to trace a graph takes longer, and is not the point."""
    from lowlight.training import trainer

    def eager(*facts):
        model = compiled(*facts)
        model.run_eagerly = True
        return model

    compiled = trainer.compiled
    monkeypatch.setattr(trainer, "compiled", eager)
    for number, plan in RECIPES.items():
        monkeypatch.setitem(RECIPES, number, dataclasses.replace(plan, crops_per_photo=2))


@pytest.fixture
def photos(tmp_path) -> Path:
    """Folder of three dark photos, 30x50 pixels: night 0.png to night 2.png."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(scene(seed, 30, 50) // 8).save(folder / f"night {seed}.png")
    return folder
