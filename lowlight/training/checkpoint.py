"""A training run's state on disk: all that is needed to go on after a crash as if nothing had happened."""

import csv
import dataclasses
import errno
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lowlight.errors import UserError
from lowlight.io import atomic
from lowlight.io.lock import holding
from lowlight.system import disk_full

STATE = "state.npz"
"""In a run's folder."""

LOCK = ".lock"
"""In a run's folder, while a process trains there."""

COLUMNS = (
    "epoch", "step", "minutes", "learning_rate",
    "loss", "psnr", "mae", "mse", "val_loss", "val_psnr", "val_mae", "val_mse", "val_psnr_oracle", "stage",
)  # fmt: skip

SIZE = "size of the pairs' files"
"""What tells pairs of another set that are called alike; runs that were begun before do not know it."""

FORMER_NAMES = {"views": "exposure_mixture", "val_psnr_told": "val_psnr_oracle"}
"""Settings and columns of runs that were begun when they had other names."""


@dataclasses.dataclass
class State:
    """Where a run stands."""

    made_by: dict
    """The settings that the run cannot change midway."""
    epoch: int = 0
    """Whole epochs done."""
    step: int = 0
    """Steps done of the epoch that is under way."""
    total_steps: int = 0
    seconds: float = 0.0
    """Training and validation, over all sessions."""
    waited: float = 0.0
    """Of these seconds, those that a step waited for its batch."""
    stage: int = 0
    """Number of the recipe's stage that is under way, from 0."""
    stage_began: dict = dataclasses.field(default_factory=lambda: {"epoch": 0, "steps": 0, "seconds": 0.0})
    """Where the run stood when the stage began."""
    stages: list[dict] = dataclasses.field(default_factory=list)
    """What the card tells of the stages that are done."""
    finished: bool = False
    best_epoch: float = 0
    """That of the weights which are kept: those of the lowest validation loss."""
    best_loss: float | None = None
    """None before the first validation."""
    best_psnr: float = 0.0
    history: list[dict] = dataclasses.field(default_factory=list)
    """One row an epoch, with `COLUMNS` as keys."""
    arrays: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    """Variables by owner: model, optimizer and averages; between two stages, whole: all weights of the model."""

    def next_stage(self, facts: dict, whole: list[np.ndarray]) -> None:
        """End a stage, of which the card holds `facts`, and leave the whole model's weights to the next one."""
        if self.step:
            self.epoch, self.step = self.epoch + 1, 0
        self.stages.append(facts)
        self.stage += 1
        self.stage_began = {"epoch": self.epoch, "steps": self.total_steps, "seconds": self.seconds}
        self.best_loss = None
        self.arrays = {"whole": whole}


def save(state: State, folder: Path) -> None:
    """Write `state.npz` and `history.csv`, each whole or not at all."""
    facts: dict[str, Any] = {
        field.name: getattr(state, field.name) for field in dataclasses.fields(state) if field.name != "arrays"
    }
    named: dict[str, Any] = {
        f"{owner}/{i:04}": array for owner, arrays in state.arrays.items() for i, array in enumerate(arrays)
    }
    with atomic.replacing(folder / STATE) as file:
        np.savez(file, **named, facts=np.array(json.dumps(facts)))
    _write_history(state.history, folder / "history.csv")


def load(folder: Path) -> State | None:
    """The state saved in a folder; None if there is none.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            arrays: dict[str, list[np.ndarray]] = {}
            for key in sorted(set(file.files) - {"facts"}):
                arrays.setdefault(key.split("/")[0], []).append(file[key])
    except Exception as error:
        raise UserError(
            f"The saved run cannot be read. Received: {path} ({error}). Give --overwrite to start anew."
        ) from error
    facts["made_by"] = _with_current_names(facts["made_by"])
    facts["history"] = [_with_current_names(row) for row in facts["history"]]
    return State(**facts, arrays=arrays)


@contextmanager
def claimed(folder: Path, again: str = "the same command") -> Iterator[None]:
    """Have a run's folder, which is made if need be, to oneself; a run that ends in whatever way leaves it free.

    Parameters
    ----------
    folder : Path
    again : str
        What goes on with the run, for a message.

    Raises
    ------
    UserError
        If another process trains there, or the folder cannot be made.
    OSError
        If the disk becomes full; its message says how to go on.
    """
    atomic.make_folder(folder)
    with holding(folder / LOCK) as mine:
        if not mine:
            raise UserError(
                f"Another process trains in that folder. Received: {folder}. Wait for its end, or give --output "
                "another folder."
            )
        try:
            yield
        except OSError as error:
            if not disk_full(error) and error.errno != errno.EFBIG:  # too large for what is left of a limit
                raise
            words = f"The run cannot be saved ({error.strerror}). Make room: {again} goes on from there"
            raise OSError(error.errno, words, str(folder)) from error


def refuse_another(folder: Path, name: str) -> None:
    """A folder holds one model: it is named by its folder.

    Raises
    ------
    UserError
        If the folder has a card of another model than `name`.
    """
    others = [path.stem for path in sorted(folder.glob("model_*.json")) if path.stem != name]
    if others:
        raise UserError(
            f"The folder holds another model. Received: {folder} with {', '.join(others)} for {name}. Give --output "
            "another folder, or take that model out of it."
        )


def open_run(folder: Path, made_by: dict, resume: bool, overwrite: bool) -> State:
    """The state to go on from, or a new one.

    An unfinished run with the same settings goes on by itself; one that had finished needs `resume`.

    Parameters
    ----------
    folder : Path
    made_by : dict
        The settings that a run cannot change midway.
    resume, overwrite : bool
        Go on also with what had ended; begin anew, whatever there is.

    Raises
    ------
    UserError
        If the folder holds a run of other settings, a finished one without `resume`, or a model without a state, and
        not `overwrite`.
    """
    state = None if overwrite else load(folder)
    if state is None:
        if not overwrite and any(folder.glob("*.weights.h5")):
            raise UserError(
                f"{folder} holds a model without the state to go on from. Give --output another folder, and --start "
                f"{folder} to go on from its weights; or --overwrite to train over it."
            )
        return State(made_by)
    state.made_by.setdefault(SIZE, made_by.get(SIZE))
    different = sorted(key for key in made_by | state.made_by if made_by.get(key) != state.made_by.get(key))
    if different:
        told = ", ".join(_difference(key, state.made_by.get(key), made_by.get(key)) for key in different)
        raise UserError(
            f"{folder} holds a run with another {told}. Give the same again to go on, --overwrite to start anew "
            "there, or --output another folder."
        )
    if state.finished and not resume:
        raise UserError(
            f"{folder} holds a finished run. Give --resume with more --epochs or --minutes to train it further, "
            "--overwrite to start anew, or --output another folder; or measure it: performance_latest.py "
            f"--evaluate-only --weights {folder}"
        )
    return dataclasses.replace(state, finished=False)


def _difference(key, before, now) -> str:
    """What of a run is another now; in what is short, such as the crop, how it was."""
    return f"{key} ({before}, not {now})" if isinstance(before, int | float | str) else key


def _with_current_names(named: dict) -> dict:
    return {FORMER_NAMES.get(name, name): value for name, value in named.items()}


def _write_history(rows, path):
    text = io.StringIO()
    known = {column for row in rows for column in row}  # one stage may measure more than another
    columns = [column for column in COLUMNS if not rows or column in known]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
    atomic.write(path, text.getvalue())
