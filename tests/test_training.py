"""The training scripts as a user runs them: as processes, that are also killed, interrupted and misused."""

import csv
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lowlight.data.pairs import load_split
from lowlight.errors import UserError
from lowlight.settings import TrainingSettings
from lowlight.training import callbacks, checkpoint, trainer
from lowlight.training.trainer import train
from lowlight.zoo import registry
from tests.conftest import ROOT, scene, write_pair

PATIENCE = 600
"""Seconds until a process is given up; a machine may be busy with other things."""

TINY = ("--batch-size", "2", "--crop", "16")


def start(script, *arguments):
    command = [sys.executable, ROOT / script, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


def history(folder):
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def quick(pairs_folder, output, **changes):
    """Settings of a run of seconds: model 10 in crops of 16."""
    settings = TrainingSettings(10, str(pairs_folder), batch_size=2, crop=16, epochs=1, output=output)
    return dataclasses.replace(settings, **changes)


@pytest.mark.parametrize(("name", "model"), [("train_old.py", 2), ("train_latest.py", 8)])
def test_a_script_trains_and_leaves_weights_card_history_and_split(name, model, pairs_folder, tmp_path, script, capsys):
    command = (name, "--model", model, "--data", pairs_folder, "--epochs", 2, *TINY, "--output", tmp_path / "run")
    assert script(*command) == 0
    output, errors = capsys.readouterr()
    assert "val PSNR" in output
    assert "Traceback" not in errors
    rows = history(tmp_path / "run")
    assert [float(row["epoch"]) for row in rows] == [1, 2]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert len(split["train"]) + len(split["val"]) == 8
    trained, card = registry.load_network(tmp_path / "run")
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert card["training"]["val_psnr"] == pytest.approx(float(best["val_psnr"]), abs=1e-3)
    assert card["data"]["train"] == len(split["train"])
    assert trained.count_params() == card["parameters"]


def test_killed_midway_the_same_command_goes_on_where_the_state_was_saved(pairs_folder, tmp_path, script, capsys):
    folder = tmp_path / "run"
    command = ("train_latest.py", "--model", 5, "--data", pairs_folder, *TINY, "--output", folder)
    process = start(*command, "--epochs", 100)
    deadline = time.monotonic() + PATIENCE
    while not (state := _state(folder)) or not state.total_steps:
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.kill()
    process.communicate()
    state = checkpoint.load(folder)
    killed_at = state.total_steps
    assert script(*command, "--epochs", state.epoch + 1, "--resume") == 0
    assert f"after step {killed_at}" in capsys.readouterr().out
    assert int(history(folder)[-1]["step"]) >= killed_at


def test_ctrl_c_saves_what_was_learnt(pairs_folder, tmp_path):
    process = start(
        "train_latest.py", "--model", 5, "--data", pairs_folder, "--epochs", 1000, *TINY, "--output", tmp_path / "run"
    )
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "run" / "state.npz").exists():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    status, output, errors = finish(process)
    assert status == 130
    assert "the same command goes on" in output
    assert "Traceback" not in errors
    assert checkpoint.load(tmp_path / "run").total_steps > 0
    registry.load_network(tmp_path / "run")


SLOW_PHOTOS = """
import gc, logging, sys, time
from pathlib import Path
from lowlight.data import loaders
from lowlight.settings import TrainingSettings
from lowlight.training.trainer import train

def slow(self, index, example=loaders.Crops.example):
    time.sleep(0.2)
    return example(self, index)

loaders.Crops.example = slow
gc.disable()
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
train(TrainingSettings(5, sys.argv[1], minutes=0.02, batch_size=2, crop=16, output=Path(sys.argv[2])), "latest")
"""


def test_a_process_ends_though_the_next_photos_are_being_read(pairs_folder, tmp_path):
    command = [sys.executable, "-c", SLOW_PHOTOS, str(pairs_folder), str(tmp_path / "run")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "kept the weights" in result.stdout


@pytest.mark.usefixtures("narrow")
def test_a_run_in_two_sessions_ends_with_the_weights_of_a_run_in_one(pairs_folder, tmp_path, interrupted_after):
    train(quick(pairs_folder, tmp_path / "one"), "latest")

    with interrupted_after(17), pytest.raises(KeyboardInterrupt):
        train(quick(pairs_folder, tmp_path / "two"), "latest")
    assert checkpoint.load(tmp_path / "two").total_steps == 17
    train(quick(pairs_folder, tmp_path / "two"), "latest")
    one, two = checkpoint.load(tmp_path / "one"), checkpoint.load(tmp_path / "two")
    assert one.total_steps == two.total_steps
    for owner in ("model", "optimizer", "averages"):
        for left, right in zip(one.arrays[owner], two.arrays[owner], strict=True):
            np.testing.assert_allclose(left, right, atol=1e-4)


@pytest.mark.usefixtures("shallow")
def test_a_minute_budget_ends_the_run_and_lets_the_rate_decay(pairs_folder, tmp_path, monkeypatch):
    """By a clock that goes on by 0.1 s whenever it is looked at: a machine may be busy."""
    clock = SimpleNamespace(monotonic=partial(next, itertools.count(step=0.1)))
    for module in (callbacks, trainer):
        monkeypatch.setattr(module, "time", clock)
    train(quick(pairs_folder, tmp_path / "run", epochs=None, minutes=0.2), "latest")
    rows = history(tmp_path / "run")
    assert float(rows[-1]["learning_rate"]) < 0.2 * 1e-3
    assert checkpoint.load(tmp_path / "run").finished


@pytest.mark.usefixtures("shallow", "brief")
def test_a_finished_run_is_not_overwritten_unasked_and_goes_on_with_resume(pairs_folder, tmp_path):
    settings = quick(pairs_folder, tmp_path / "run")
    train(settings, "latest")
    with pytest.raises(UserError, match="finished"):
        train(settings, "latest")
    with pytest.raises(UserError, match="or measure it: performance_latest.py --evaluate-only --weights"):
        train(settings, "latest")
    with pytest.raises(UserError, match=r"another crop \(16, not 32\). Give the same again"):
        train(dataclasses.replace(settings, crop=32, resume=True), "latest")
    train(dataclasses.replace(settings, epochs=2, resume=True), "latest")
    assert [float(row["epoch"]) for row in history(tmp_path / "run")] == [1, 2]
    train(dataclasses.replace(settings, overwrite=True), "latest")
    assert len(history(tmp_path / "run")) == 1


@pytest.mark.usefixtures("shallow", "brief")
def test_weights_without_the_state_of_their_run_are_not_trained_over_unasked(pairs_folder, tmp_path):
    settings = quick(pairs_folder, tmp_path / "run")
    train(settings, "latest")
    (tmp_path / "run" / "state.npz").unlink()
    before = (tmp_path / "run" / "model_10.weights.h5").read_bytes()
    with pytest.raises(UserError, match="without the state to go on from"):
        train(settings, "latest")
    assert (tmp_path / "run" / "model_10.weights.h5").read_bytes() == before
    train(dataclasses.replace(settings, overwrite=True), "latest")


@pytest.mark.usefixtures("narrow")
def test_training_learns_what_can_be_learnt(tmp_path):
    """High is low times two everywhere: model 10 must come closer to it than its input is."""
    for seed in range(6):
        high = scene(seed, 32, 32)
        write_pair(tmp_path / "pairs", str(seed), high, high // 2)
    settings = TrainingSettings(10, str(tmp_path / "pairs"), crop=32, epochs=6, output=tmp_path / "run")
    train(settings, "latest")
    scores = [float(row["val_psnr"]) for row in history(tmp_path / "run")]
    assert max(scores) > scores[0] + 1


@pytest.mark.usefixtures("narrow")
def test_mixed_precision_trains_and_saves_float32_weights(pairs_folder, tmp_path):
    train(quick(pairs_folder, tmp_path / "run", mixed_precision=True), "latest")
    model, _ = registry.load_network(tmp_path / "run")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}


@pytest.mark.usefixtures("shallow")
def test_threads_that_make_batches_change_nothing_of_what_is_learnt(pairs_folder, tmp_path):
    for workers in (1, 3):
        train(quick(pairs_folder, tmp_path / str(workers), workers=workers), "latest")
    alone, together = (registry.load_network(tmp_path / str(workers))[0].get_weights() for workers in (1, 3))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


ON_TWO_DEVICES = """
import sys
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from lowlight.__main__ import main

sys.exit(main())
"""


@pytest.mark.slow
def test_two_devices_that_share_batches_learn_as_one_and_one_goes_on_from_there(pairs_folder, tmp_path):
    scores = {}
    for devices in ("one", "all"):
        settings = quick(pairs_folder, tmp_path / devices, model=8, batch_size=4, devices=devices)
        if devices == "one":
            train(settings, "latest")
        else:
            words = ("train", "--model", 8, "--batch-size", 4, "--crop", 16, "--epochs", 1, "--devices", "all")
            words += ("--data", pairs_folder, "--output", settings.output)
            command = [sys.executable, "-c", ON_TWO_DEVICES, *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
            assert done.returncode == 0, done.stderr
        scores[devices] = float(history(settings.output)[0]["val_psnr"])
    assert scores["all"] == pytest.approx(scores["one"], abs=0.3)
    train(dataclasses.replace(settings, devices="one", epochs=2, resume=True), "latest")
    assert [float(row["epoch"]) for row in history(settings.output)] == [1, 2]


@pytest.mark.usefixtures("shallow")
def test_a_photo_that_vanishes_while_a_model_trains_is_named_in_one_line(pairs_folder, tmp_path, monkeypatch):
    lost = pairs_folder / "high" / "photo2.png"
    monkeypatch.setattr("lowlight.training.trainer.write_split", lambda split, path: lost.unlink())
    with pytest.raises(UserError, match=r"photo2\.png is not there"):
        train(quick(pairs_folder, tmp_path / "run"), "latest")


@pytest.mark.usefixtures("shallow")
def test_training_that_diverges_stops_with_a_clear_line(pairs_folder, tmp_path):
    with pytest.raises(UserError, match="--learning-rate"):
        train(quick(pairs_folder, tmp_path / "run", learning_rate=1e9), "latest")


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(("psnr", "said"), [(3.0, True), (30.0, False)])
def test_that_a_model_is_worse_than_none_is_said(psnr, said, pairs_folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(trainer, "validate", lambda *_, **__: {"val_loss": 1.0, "val_psnr": psnr})
    train(quick(pairs_folder, tmp_path / "run"), "latest")
    assert ("come out worse than they are untouched (4." in caplog.text) == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere"), "nowhere"),
        ((), "--data"),
        (("--data", "synthetic", "--epochs", "0"), "--epochs"),
        (("--data", "synthetic", "--minutes", "-1"), "--minutes"),
        (("--data", "synthetic", "--resume", "--overwrite"), "--overwrite"),
    ],
)
def test_bad_settings_end_with_one_clear_line_and_status_2(arguments, message, tmp_path, script, capsys):
    assert script("train_latest.py", "--model", "8", *arguments, "--output", tmp_path / "run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"crop": 50}, "multiple of 16. Received: --crop 50"),
        ({"start": "nowhere"}, "no such model. Received: nowhere"),
        ({"also": (Path("nowhere"),)}, "no list of pairs. Received: nowhere"),
        ({"clean": (Path("nowhere"),)}, "no such folder of clean photos. Received: nowhere"),
    ],
)
def test_what_is_wrong_is_told_before_the_pairs_are_checked_which_takes_a_while(wrong, said, pairs_folder, monkeypatch):
    monkeypatch.setattr("lowlight.data.splits.load_split", lambda *facts: pytest.fail("checked"))
    with pytest.raises(UserError, match=said):
        train(TrainingSettings(12, str(pairs_folder), **wrong), "latest")


def test_a_model_of_the_other_generation_is_sent_to_its_script(pairs_folder, script, capsys):
    assert script("train_old.py", "--model", "10", "--data", pairs_folder) == 2
    assert "_latest.py" in capsys.readouterr().err


def test_broken_pairs_stop_training_before_it_starts(pairs_folder, tmp_path, script, capsys):
    (pairs_folder / "high" / "photo3.png").unlink()
    assert script("train_latest.py", "--model", "8", "--data", pairs_folder, "--output", tmp_path) == 2
    assert "photo3" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.h5"))


def test_a_scene_of_two_exposures_is_in_one_part_alone(pairs_folder):
    """Random halves of sixteen pairs would put both exposures of each of eight scenes together once in 256 times."""
    for index in range(8):
        write_pair(pairs_folder, f"again{index}", scene(index), scene(index) // 6)
    split = load_split(pairs_folder)
    parts = [{pair.name[-1] for pair in part} for part in (split.train, split.val)]
    assert parts[1]
    assert not parts[0] & parts[1]
    assert len(split.train) + len(split.val) == 16


def _state(folder):
    try:
        return checkpoint.load(folder)
    except UserError:
        return None
