"""Training that is interrupted by a signal, a second process or a full disk: nothing is lost, and a line says so.

Ctrl-C is in test_training.
"""

import dataclasses
import os
import signal
import subprocess
import sys
from functools import partial

import pytest

from lowlight.settings import TrainingSettings
from lowlight.system import STOPPING, run
from lowlight.training import checkpoint, trainer
from lowlight.training.callbacks import Clock
from tests.conftest import ROOT, files_of_at_most

STEPS = 5


@pytest.fixture
def settings(pairs_folder, tmp_path, shallow, brief):
    """Of a run of seven steps."""
    return TrainingSettings(10, str(pairs_folder), batch_size=2, crop=16, epochs=1, output=tmp_path / "run")


@pytest.fixture
def after_five_steps(monkeypatch):
    """Does something, once."""

    def arrange(action):
        def act(clock, batch, logs=None):
            if clock.state.total_steps == STEPS and not done:
                done.append(True)
                action()
            on_end(clock, batch, logs)

        done, on_end = [], Clock.on_train_batch_end
        monkeypatch.setattr(Clock, "on_train_batch_end", act)

    return arrange


@pytest.mark.parametrize(
    "signum", [other for other in STOPPING if other != signal.SIGINT], ids=lambda signum: signum.name
)
def test_a_signal_to_end_saves_what_was_learnt_says_so_and_is_the_exit_status(
    signum, settings, after_five_steps, capsys
):
    before = signal.signal(signum, signal.SIG_DFL)
    try:
        after_five_steps(partial(signal.raise_signal, signum))
        status = run(lambda: bool(trainer.train(settings, "latest")))
    finally:
        signal.signal(signum, before)
    output, errors = capsys.readouterr()
    assert status == 128 + signum
    assert errors == "stopped\n"
    assert f"saved after step {STEPS + 1}; the same command goes on" in output
    assert checkpoint.load(settings.run_folder).total_steps == STEPS + 1
    assert (settings.run_folder / "model_10.weights.h5").exists()
    assert not list(settings.run_folder.glob(".*"))


def test_what_was_begun_anew_goes_on_by_the_command_without_overwrite(settings, after_five_steps, caplog):
    after_five_steps(partial(signal.raise_signal, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(dataclasses.replace(settings, overwrite=True), "latest")
    assert caplog.messages[-1].endswith("; the same command without --overwrite goes on")


def test_a_second_ctrl_c_leaves_out_the_scores_and_loses_no_step(settings, after_five_steps, monkeypatch, caplog):
    def score(*arguments, **options):
        signal.raise_signal(signal.SIGINT)

    after_five_steps(partial(signal.raise_signal, signal.SIGINT))
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", score)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(settings, "latest")
    assert caplog.messages[-1] == f"stopping: step {STEPS + 1} is saved; scores follow, or Ctrl-C again"
    assert checkpoint.load(settings.run_folder).total_steps == STEPS + 1
    trainer.train(settings, "latest")
    assert checkpoint.load(settings.run_folder).finished


def test_a_second_training_in_a_folder_is_refused_in_a_line(settings, capsys):
    with checkpoint.claimed(settings.run_folder):
        assert run(lambda: bool(trainer.train(settings, "latest"))) == 2
    assert capsys.readouterr().err == (
        f"error: Another process trains in that folder. Received: {settings.run_folder}. Wait for its end, or give "
        "--output another folder.\n"
    )
    assert not (settings.run_folder / "state.npz").exists()


def test_the_lock_of_a_process_that_was_killed_holds_nobody_up(settings):
    code = "import os, sys; from lowlight.training.checkpoint import claimed; from pathlib import Path\n"
    code += "with claimed(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    if os.name != "posix":
        pytest.skip("by POSIX' signal that kills")
    killed = subprocess.run([sys.executable, "-c", code, settings.run_folder], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert (settings.run_folder / checkpoint.LOCK).exists()
    with checkpoint.claimed(settings.run_folder):
        pass


@pytest.mark.skipif(os.name != "posix", reason="by POSIX' limits on files")
def test_a_disk_that_becomes_full_loses_neither_state_nor_weights_and_the_same_command_goes_on(
    settings, after_five_steps, capsys
):
    after_five_steps(partial(signal.raise_signal, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(settings, "latest")
    folder = settings.run_folder
    before = {path.name: path.read_bytes() for path in folder.glob("*.[hn]*")}
    assert {"model_10.weights.h5", "state.npz"} <= set(before)
    with files_of_at_most(50_000):
        assert run(lambda: bool(trainer.train(settings, "latest"))) == 1
    assert capsys.readouterr().err == (
        f"error: The run cannot be saved (File too large). Make room: the same command goes on from there: {folder}\n"
    )
    assert {path.name: path.read_bytes() for path in folder.glob("*.[hn]*")} == before
    assert not list(folder.glob(".*"))
    trainer.train(settings, "latest")
    assert checkpoint.load(folder).finished


@pytest.mark.skipif(os.name != "posix", reason="by a shell")
def test_too_few_addresses_for_tensorflow_are_told_in_a_line(tmp_path):
    command = (
        f"ulimit -v 2000000; exec '{sys.executable}' train_latest.py --model 8 --data synthetic --output '{tmp_path}'"
    )
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.startswith("error: There is not enough memory for TensorFlow. Received: a limit of 1953 MiB"), (
        done
    )
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 2


def test_a_signal_in_the_last_scores_does_not_promise_that_a_finished_run_goes_on(settings, monkeypatch, caplog):
    def score(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return {"val_loss": 1.0, "val_psnr": 10.0}

    monkeypatch.setattr(trainer, "validate", score)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(settings, "latest")
    assert caplog.messages[-1].startswith("stopped and saved after step")
    assert caplog.messages[-1].endswith("; the run is finished")
    assert checkpoint.load(settings.run_folder).finished
