"""What a person sees while a model trains: one live line, and a line for each epoch."""

import logging
import math

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

LOG = logging.getLogger(__name__)


class TrainingProgress:
    """A live line on a terminal; elsewhere only a line for each epoch, to the logger."""

    def __init__(self):
        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[scores]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            refresh_per_second=2,  # a notebook keeps each refresh, for hours
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=1.0, scores="")
        self.val = ""  # none before the first epoch has ended

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def step(self, state, steps, done, scores) -> None:
        """Show where the epoch stands: `scores` are the means since it began, `done` the share of the budget.

        In so few words that 80 columns hold them, with the time that is left.
        """
        line = f"loss {scores.get('loss', 0):.4f}{self.val}"
        description = f"epoch {state.epoch + 1}, step {state.step}/{steps}"
        self.bar.update(self.task, description=description, completed=done, scores=line)

    def epoch_ended(self, row, best) -> None:
        """Show an epoch's scores: `row` as in history.csv, `best` the validation PSNR of the weights that are kept."""
        val = f"val loss {row['val_loss']:.4f}  val PSNR {row['val_psnr']:.2f} dB (kept: {best:.2f})"
        self.val = f"  val PSNR {row['val_psnr']:.2f}"
        if math.isnan(row["val_loss"]):
            val, self.val = "nothing to validate on", ""
        if "val_psnr_oracle" in row:
            val += f", with oracle exposure {row['val_psnr_oracle']:.2f} dB"
        of_crops = "" if math.isnan(row["psnr"]) else f"PSNR {row['psnr']:.2f}  "
        line = (
            f"epoch {row['epoch']:.4g}  {row['minutes']:.1f} min  rate {row['learning_rate']:.2g}  "
            f"loss {row['loss']:.4f}  {of_crops}{val}"
        )
        if self.bar.disable:
            LOG.info(line)
        else:
            self.bar.console.print(line, highlight=False)
