"""Training by several processes, as on several machines: two here, started as TensorFlow expects it."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from lowlight.backend import CLUSTER, keras
from lowlight.errors import UserError
from lowlight.settings import TrainingSettings
from lowlight.training import checkpoint
from lowlight.training.devices import Processes, distributed, joined
from lowlight.training.trainer import train
from tests.conftest import ROOT, scene, write_pair

PATIENCE = 600
"""Seconds until a process is given up; a machine may be busy with other things."""

SHALLOW = """
import dataclasses, os, signal, sys
from lowlight.zoo.recipes import RECIPES

RECIPES[10] = dataclasses.replace(RECIPES[10], architecture="plain", settings={}, crops_per_photo=4)
"""
"""As the fixture `shallow`: a graph that is traced in a second, and learns the same in parts of a batch."""

TRAIN = "\nfrom lowlight.__main__ import main\n\nsys.exit(main())"

STOPPED_BY_ITSELF = """
from lowlight.training.callbacks import Clock

def stop(clock, batch, logs=None, count=Clock.on_train_batch_end):
    count(clock, batch, logs)
    if clock.state.total_steps == 5:
        signal.raise_signal(signal.SIGINT)

Clock.on_train_batch_end = stop
"""

WITHOUT_A_PHOTO = """
from lowlight.data import loaders
from lowlight.errors import UserError

def lost(self, index):
    raise UserError("A photo is gone. Received: none.")

loaders.Crops.example = lost
"""


def start_two(settings, code=("", "")):
    """Two processes that train by the same settings, one command each; the code of each is run before."""
    with socket.socket() as one, socket.socket() as other:
        for port in (one, other):
            port.bind(("127.0.0.1", 0))
        workers = ["{}:{}".format(*port.getsockname()) for port in (one, other)]
    given = {name: getattr(settings, name) for name in ("model", "data", "batch_size", "crop", "epochs", "output")}
    words = [str(word) for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    processes = []
    for index in range(2):
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-c", SHALLOW + code[index] + TRAIN, "train", *words, "--devices", "all"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
        processes.append(subprocess.Popen(command, env=os.environ | {CLUSTER: json.dumps(cluster)}, **pipes))
    return processes


def ends(processes):
    """The exit status of each, its output and its errors; none is left behind, if one hangs."""
    try:
        said = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


@pytest.fixture
def settings(tmp_path):
    for seed in range(4):
        write_pair(tmp_path / "pairs", f"photo{seed}", scene(seed))
    return TrainingSettings(10, str(tmp_path / "pairs"), batch_size=4, crop=16, epochs=3, output=tmp_path / "two")


@pytest.mark.slow
@pytest.mark.usefixtures("shallow")
def test_two_processes_stop_and_go_on_together_and_end_in_one_folder_with_the_weights_of_one(settings, monkeypatch):
    from lowlight.zoo.recipes import RECIPES

    monkeypatch.setitem(RECIPES, 10, dataclasses.replace(RECIPES[10], crops_per_photo=4))
    alone = dataclasses.replace(settings, output=settings.output.with_name("one"))
    train(alone, "latest")
    stopped = ends(start_two(settings, ("", STOPPED_BY_ITSELF)))
    assert [(status, errors) for status, _, errors in stopped] == [(128 + signal.SIGINT, "stopped\n")] * 2
    assert checkpoint.load(settings.output).total_steps == 5
    chief, other = ends(start_two(settings))
    assert [chief[::2], other[::2]] == [(0, "")] * 2
    assert "kept the weights" in chief[1]
    assert "kept the weights" not in other[1]
    assert {path.name for path in settings.output.iterdir()} == {path.name for path in alone.output.iterdir()}
    one, two = (checkpoint.load(folder) for folder in (alone.output, settings.output))
    assert one.total_steps == two.total_steps
    assert two.best_psnr == pytest.approx(one.best_psnr, abs=0.05)
    for owner in ("model", "averages"):
        for left, right in zip(one.arrays[owner], two.arrays[owner], strict=True):
            np.testing.assert_allclose(left, right, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_what_ends_one_process_is_one_line_of_it_and_one_of_the_other(settings, failing):
    code = ["", ""]
    code[failing] = WITHOUT_A_PHOTO
    done = ends(start_two(settings, code))
    assert [status for status, _, _ in done] == [2, 2], done
    assert done[failing][2] == "error: A photo is gone. Received: none.\n"
    (line,) = done[1 - failing][2].splitlines()
    assert line.startswith("error: Another process of the training ended")


@pytest.mark.slow
def test_ctrl_c_ends_a_process_that_waits_for_the_others(settings):
    waiting, other = start_two(settings)
    other.kill()
    assert any("process 1 of 2" in line for line in waiting.stdout)
    time.sleep(2)
    waiting.send_signal(signal.SIGINT)
    assert ends([waiting, other])[0][0] == -signal.SIGINT


@pytest.mark.parametrize(
    "given",
    [
        "two machines",
        "{}",
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_cluster_that_is_none_is_refused_with_an_example(given, monkeypatch):
    monkeypatch.setenv(CLUSTER, given)
    with pytest.raises(UserError, match=r'TF_CONFIG must .* Write it as {"cluster"'):
        joined("all")


def test_processes_are_not_joined_once_a_model_was_used(monkeypatch):
    alone = {"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv(CLUSTER, json.dumps(alone))
    with pytest.raises(UserError, match="before a model is used"):
        joined("all")


def test_a_process_that_has_several_gpus_is_refused_with_what_to_start_instead(monkeypatch):
    import tensorflow as tf

    two = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv(CLUSTER, json.dumps(two))
    strategy = SimpleNamespace(num_replicas_in_sync=8, extended=SimpleNamespace(worker_devices=range(4)))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: strategy)
    with pytest.raises(UserError, match=r"trains on one GPU\. Received: 4 of them\. Start a process for each"):
        joined("all")


def test_several_devices_need_tensorflow(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="Received: --devices all with jax. Leave it out"), distributed("all"):
        pass
    with distributed("one"):
        pass


def test_one_device_needs_no_other_process(monkeypatch):
    monkeypatch.setenv(CLUSTER, "two machines")
    assert joined("one").count == 1


def test_batches_are_shared_out_evenly_or_not_at_all():
    one, other = (Processes(SimpleNamespace(num_replicas_in_sync=2), number) for number in range(2))
    assert [*range(6)[one.share(6)], *range(6)[other.share(6)]] == [0, 2, 4, 1, 3, 5]
    with pytest.raises(UserError, match=r"batches of 5 for 2 processes. Give --batch-size a multiple of 2"):
        one.share(5)
