"""What can be set from the command line; the text under a field is its --help.

None stands for "as the model's recipe says" (`lowlight.recipes`).
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings of train_old.py and train_latest.py."""

    model: int | None = None
    """Which model of the ladder, by its number."""
    data: str | None = None
    """Folder with low/ and high/, or LOL's own folder; or the word synthetic: pairs made from clean photos."""
    low: Path | None = None
    """Folder of the dark photos, if the two sides are not in one folder."""
    high: Path | None = None
    """Folder of the well-lit photos."""
    clean: Path | None = None
    """Folder of clean photos to darken: with --data synthetic (else those that scikit-image ships), and for models that
    learn from photos darkened on the fly; a fifth of them is held out there."""
    also: Path | None = None
    """Folder with a pairs.csv (columns low and high) of more pairs, for models that learn from several sets; a sixth of
    its targets is held out."""
    skip_bad_pairs: bool = False
    """Leave broken pairs out instead of refusing to train."""
    epochs: int | None = None
    """How many epochs to train."""
    minutes: float | None = None
    """Train for so many minutes instead; the learning rate decays over that time."""
    batch_size: int | None = None
    """How many crops a training step sees."""
    learning_rate: float | None = None
    """The learning rate to start with."""
    crop: int | None = None
    """Side of the square crops, in pixels; a multiple of 16."""
    seed: int = 0
    """Of the first weights, the crops and their order."""
    mixed_precision: bool = False
    """Compute in half precision where that is safe (float16 on a GPU, bfloat16 elsewhere)."""
    start: str | None = None
    """Start from the weights of a trained model of the same graph, named as for main.py --model: to go on with other
    pairs, such as your own."""
    resume: bool = False
    """Go on with the run in the output folder, also when it had ended or its budget was another."""
    overwrite: bool = False
    """Start anew, over the run in the output folder."""
    output: Path | None = None
    """Folder for weights, card, history and state. Default: runs/model_NN."""

    @property
    def run_folder(self) -> Path:
        """The output folder, as given or by default."""
        return self.output or Path("runs") / f"model_{self.model or 0:02}"


@dataclasses.dataclass(frozen=True)
class PerformanceSettings(TrainingSettings):
    """Settings of performance_old.py and performance_latest.py."""

    evaluate_only: bool = False
    """Measure saved weights, train nothing."""
    all: bool = False
    """With --evaluate-only: measure every model in models/, and make all tables and plots of statistics/ anew; with
    --also and --clean, on what is held out of them, too."""
    weights: Path | None = None
    """With --evaluate-only: a weights file, its card, a run's folder, or a .keras or .h5 file. Default: models/."""
    statistics: Path = Path("statistics")
    """Where tables and plots go."""


@dataclasses.dataclass(frozen=True)
class EnhanceSettings:
    """Settings of main.py."""

    inputs: tyro.conf.Positional[tuple[Path, ...]] = (ROOT / "test" / "low",)
    """Photos, or folders of photos."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = ROOT / "test" / "predicted"
    """Folder for the results; they have the photos' names."""
    model: str | None = None
    """Number of a model, a run's folder, a weights file with its card, or a .keras or .h5 file. Default: the best of
    --list-models."""
    format: str | None = None
    """Write all results so: png, jpg, webp, tiff, bmp or avif. Default: as each photo."""
    tile: int | None = None
    """Largest side of what is run at once, in pixels; smaller takes less memory."""
    overwrite: bool = False
    """Make results anew that exist already, instead of skipping them."""
    list_models: bool = False
    """Show the models that there are, and their scores; enhance nothing."""
    download: str | None = None
    """Download a model by its number, or all, unless they are here; enhance nothing."""
    models_url: str | None = None
    """Where missing models come from: http(s)://…, file:///…, or hf://OWNER/REPOSITORY@REVISION/FOLDER. Default: the
    environment variable LOWLIGHT_MODELS_URL."""
