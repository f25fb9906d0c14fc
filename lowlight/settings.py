"""What can be set from the command line; the text under a field is its --help.

None stands for "as the model's recipe says" (`lowlight.zoo.recipes`).
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from lowlight.controls import Controls
from lowlight.errors import UserError

_BESIDE_PACKAGE = Path(__file__).resolve().parent.parent

ROOT = _BESIDE_PACKAGE if (_BESIDE_PACKAGE / "pyproject.toml").is_file() else Path()
"""The project's folder; for the installed package the working folder, whichever that is."""

PREDICTED = ROOT / "test" / "predicted"

EXPORTS = Path("exports")

STANDARD_STREAM = Path("-")
"""Standard input, or output."""


WITHOUT_QUALITY = (".png", ".tif", ".tiff", ".bmp")
"""Endings of formats that have no quality to choose."""


def check_quality(quality: int | None, ending: str | None) -> None:
    """Check the quality of results, if one is asked for, against what their names end in, if that is.

    Raises
    ------
    UserError
        If it is not from 1 to 100, or the format loses nothing.
    """
    if quality is None:
        return
    if not 1 <= quality <= 100:
        raise UserError(f"The quality must be a number from 1 to 100. Received: {quality}.")
    if ending is not None and ending in WITHOUT_QUALITY:
        raise UserError(
            f"PNG, TIFF and BMP lose nothing, so they have no quality. Received: --quality {quality} for {ending[1:]}. "
            "Leave it out, or choose another format."
        )


def check_suffix(suffix: str) -> None:
    """Check what is added to the names of results.

    Raises
    ------
    UserError
        If it would lead into a folder.
    """
    if suffix and Path(suffix).name != suffix:
        raise UserError(f"What is added to names can be no folder. Received: --suffix {suffix}. Name it by --output.")


@dataclasses.dataclass(frozen=True)
class Argument:
    """How a field is given on the command line, where its name and its type do not tell."""

    short: str | None = None
    """Another name, of one letter, as -o."""
    metavar: str | None = None
    """What stands for the value in --help."""
    positional: bool = False
    """Without a name."""


def option(name: str) -> str:
    """What a field is called on the command line."""
    return f"--{name.replace('_', '-')}"


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings of train_old.py and train_latest.py."""

    model: int | None = None
    """Which model of the ladder, by its number."""
    data: str | None = None
    """Folder of pairs: low/ and high/, or a public dataset as it comes (LOL, LOL-v2, LSRW, SID, SICE, FiveK ...); a CSV
    file with columns low and high; or the word synthetic: pairs made from clean photos."""
    low: Path | None = None
    """Folder of the dark photos, if the two sides are not in one folder."""
    high: Path | None = None
    """Folder of the well-lit photos."""
    clean: tuple[Path, ...] = ()
    """Folder of clean photos to darken: with --data synthetic (else those that scikit-image ships), and for models that
    learn from photos darkened on the fly; a fifth of them is held out there. May be given several times."""
    also: tuple[Path, ...] = ()
    """Folder with a pairs.csv (columns low and high) of more pairs, for models that learn from several sets; a sixth of
    its targets is held out. May be given several times."""
    skip_bad_pairs: bool = False
    """Leave broken pairs out instead of refusing to train."""
    epochs: int | None = None
    """How many epochs to train. Default: as the model's recipe says."""
    minutes: float | None = None
    """Train for so many minutes instead; the learning rate decays over that time."""
    batch_size: int | None = None
    """How many crops a training step sees. Default: as the recipe says."""
    learning_rate: float | None = None
    """The learning rate to start with. Default: as the recipe says."""
    crop: int | None = None
    """Side of the square crops, in pixels; a multiple of 16. Default: as the recipe says."""
    seed: int = 0
    """Of the first weights, the crops and their order."""
    batch_scale: int = 1
    """For a device that can take more at a time: the recipe's batch sizes times this, and its learning rates times the
    square root of it. What is set by hand stays as it is set."""
    workers: int = 1
    """Threads that make batches; the crops are the same however many there are."""
    devices: Literal["one", "all"] = "one"
    """Train on one device or, sharing each batch out, on all GPUs of this machine; or, if TF_CONFIG names processes on
    several, on one GPU of each (TensorFlow alone)."""
    mixed_precision: bool = False
    """Compute in half precision where that is safe (float16 on a GPU, bfloat16 elsewhere)."""
    start: str | None = None
    """Start from the weights of a trained model of the same graph, named as for main.py --model: to go on with other
    pairs, such as your own."""
    part: Literal["exposure", "restoration", "guess"] | None = None
    """With --start, train a part of the model alone: exposure, which models 11 and up predict for a photo, or
    restoration, all the rest of it. (guess: what exposure was called before.)"""
    remember: bool = False
    """With --part exposure: of --also and --clean learn what the model that is started from predicts, not the truth. So
    it takes up --data, what is dark by intent or against the light, and forgets less of the rest."""
    preset: Literal["colab-t4", "h100"] | None = None
    """Minutes, precision, batches and workers for a GPU (not measured there); those that are given, too, come first."""
    all_pairs: bool = False
    """With --start, go on with the validation pairs, too, once all is chosen: nothing is validated, the last weights
    are kept, and the scores on validation stay those that were measured of the start."""
    config: Path | None = None
    """A TOML file with more of these settings, by the same names, in the table [train] or [measure]. Default:
    lowlight.toml, if the working folder has one."""
    resume: bool = False
    """Go on with the run in the output folder, also when it had ended or its budget was another. One that had gone
    through its stages goes on in the last of them, for that stage's share of the budget."""
    overwrite: bool = False
    """Start from the beginning, over the run in the output folder."""
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
    """With --evaluate-only: measure every model in models/, and make all tables and plots of statistics/ again; with
    --also and --clean, on what is held out of them, too."""
    unseen: tuple[Path, ...] = ()
    """With --all or --weights: a folder of pairs, as --data takes them, that no model learns from: all of it is
    measured on. May be given several times."""
    noisy: tuple[Path, ...] = ()
    """With --all or --weights: a folder of pairs, as --data takes them, of photos with real noise and the same ones
    without, as bright. Models are measured on all of it beside non-local means. May be given several times."""
    weights: Path | None = None
    """With --evaluate-only: a weights file, its card, a run's folder, or a .keras or .h5 file; with --also and --clean,
    on what is held out of them, too. Default: models/."""
    statistics: Path = Path("statistics")
    """Where tables and plots go."""


@dataclasses.dataclass(frozen=True)
class AverageSettings:
    """Settings of lowlight average.

    Raises
    ------
    UserError
        If there is nothing to average.
    """

    models: Annotated[tuple[str, ...], Argument(positional=True)]
    """Two models or more, named as for main.py --model; one that is named twice counts twice."""
    part: Literal["exposure", "restoration"] | None = None
    """Average this part alone; the rest stays as it is in the first. Models of other widths have the same exposure."""
    output: Annotated[Path, Argument("-o")] = Path("runs") / "average"
    """Folder for the weights and their card, which are named as the first model's."""
    overwrite: bool = False
    """Put them over the model in that folder."""

    def __post_init__(self):
        if len(self.models) < 2:
            raise UserError(f"A mean is of two models or more. Received: {' '.join(self.models) or 'none'}. Name more.")


@dataclasses.dataclass(frozen=True)
class ModelsSettings:
    """Settings of lowlight models."""

    download: str | None = None
    """Download a model by its number, or all, unless they are here."""
    models_url: str | None = None
    """Where from: http(s)://…, file:///…, or hf://OWNER/REPOSITORY@REVISION/FOLDER."""


@dataclasses.dataclass(frozen=True)
class CompletionSettings:
    """Settings of lowlight completion."""

    shell: Annotated[Literal["bash", "zsh", "fish"], Argument(positional=True)]
    """Which shell: bash, zsh or fish."""


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Settings of lowlight export.

    Raises
    ------
    UserError
        If they contradict each other.
    """

    model: str | None = None
    """A model's number, a run's folder, a weights file with its card, or a .keras or .h5 file. Default: as for
    enhancing."""
    format: Literal["onnx", "litert", "saved_model", "openvino"] = "onnx"
    """Of the file."""
    output: Annotated[Path, Argument("-o")] = EXPORTS
    """Folder for the file and its card."""
    float16: bool = False
    """Compute the heavy part in float16: for GPUs and phones; a CPU gains nothing. LiteRT files have none of it."""
    beside: bool = False
    """Put an ONNX file beside the model's weights and into its card (and the manifest): what --engine onnx runs."""
    models_url: str | None = None
    """Where a missing model comes from, as for enhancing."""

    def __post_init__(self):
        if self.beside and (self.format != "onnx" or self.float16):
            raise UserError(
                "Beside the weights goes an ONNX file in float32 alone. Received: --beside with "
                f"{'--float16' if self.float16 else f'--format {self.format}'}. Leave one out."
            )
        if self.float16 and self.format == "litert":
            raise UserError(
                "LiteRT files are in float32; a GPU computes in float16 by itself. Received: --float16 with --format "
                "litert. Leave --float16 out."
            )
        if self.beside and self.output != EXPORTS:
            raise UserError(
                f"Beside the weights is a place of its own. Received: --beside and --output {self.output}. Leave "
                "one out."
            )


@dataclasses.dataclass(frozen=True)
class EnhanceSettings:
    """Settings of main.py.

    Raises
    ------
    UserError
        If they contradict each other.
    """

    inputs: Annotated[tuple[Path, ...], Argument(positional=True)] = (ROOT / "test" / "low",)
    """Photos, clips, folders of photos, and patterns as '*.jpg'; or - for a photo from standard input to standard
    output."""
    output: Annotated[Path, Argument("-o")] = PREDICTED
    """Folder for the results, which have the photos' names; or, for one photo, the file."""
    model: str | None = None
    """A model's number, a run's folder, a weights file with its card, or a .keras or .h5 file. Default: see
    --list-models."""
    recursive: bool = False
    """Take the photos of subfolders, too; the results are in subfolders of the same names."""
    frame: int | None = None
    """Of files that hold several pictures, such as scans of many pages, take this one, from 1. Default: the first, of a
    TIFF the largest, of a HEIC the main one."""
    all_frames: bool = False
    """Give each picture of such files a result of its own: NAME_001, NAME_002 and so on."""
    in_place: bool = False
    """Put each result in its photo's place; the photo is kept beside it, as NAME.orig."""
    overwrite: bool = False
    """Make results again that exist already, instead of skipping them."""
    suffix: str | None = None
    """Add this to the results' names: _bright makes night_bright.jpg, which no folder is searched for then."""
    format: str | None = None
    """Write all results so: png, jpg, webp, tiff, bmp, avif or heic. Default: as each photo."""
    quality: int | None = None
    """Of JPEG, WebP, AVIF and HEIC results, 1 to 100. Default: as good as the photo or better."""
    strip_metadata: bool = False
    """Leave EXIF, place and camera out of the results."""
    max_megapixels: float | None = None
    """Refuse photos with more millions of pixels than this. Default: 250."""
    compare: bool = False
    """Write photo and result side by side, as one picture; --suffix is _compare unless it is given."""
    tile: int | None = None
    """Largest side of what is run at once, in pixels; smaller takes less memory. Default: 1024, or less if memory is
    short."""
    best: bool = False
    """Self-ensemble: the mean over the 8 flips and rotations of each photo; cleaner, in eight times the time."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """What to run on. auto: a GPU if there is one that can be used."""
    engine: Literal["auto", "tensorflow", "onnx", "openvino"] = "auto"
    """What runs the model. auto: of those installed, what is done first: ONNX Runtime for a few photos, TensorFlow for
    many where it has a GPU or a CPU that multiplies bfloat16."""
    preset: Literal["natural", "bright", "night", "documents"] | None = None
    """Controls for a kind of photo; those that are given, too, come first."""
    controls: Controls = Controls()
    """How the result shall look, where the model has the control."""
    config: Path | None = None
    """A TOML file with more of these settings, by the same names. Default: lowlight.toml, if the working folder has
    one."""
    watch: bool = False
    """Go on with photos that come into the folders, each once it has stopped growing, until Ctrl-C."""
    dry_run: bool = False
    """Tell what would be done; do nothing."""
    json: Annotated[str | None, Argument(metavar="FILE|-")] = None
    """Write a line of JSON for each photo: in, out, status, reason, sizes and seconds. - is standard output."""
    quiet: Annotated[bool, Argument("-q")] = False
    """Tell only what failed."""
    verbose: Annotated[bool, Argument("-v")] = False
    """Tell of each photo, and how long the model ran."""
    list_models: bool = False
    """Show the models that there are, and their scores; enhance nothing."""
    download: str | None = None
    """Download a model by its number, or all, unless they are here; enhance nothing."""
    models_url: str | None = None
    """Where missing models come from: http(s)://…, file:///…, or hf://OWNER/REPOSITORY@REVISION/FOLDER."""
    info: bool = False
    """Show versions, devices, memory and where the models are; enhance nothing."""
    version: bool = False
    """Show the version; enhance nothing."""

    @property
    def name_suffix(self) -> str:
        """What is added to the results' names, as given or by default."""
        return ("_compare" if self.compare else "") if self.suffix is None else self.suffix

    @property
    def ending(self) -> str | None:
        """What the names of all results end in, with the dot; None if each ends as its photo's."""
        return f".{self.format.lower().removeprefix('.')}" if self.format else None

    @property
    def piped(self) -> bool:
        """Whether the photo comes from standard input."""
        return STANDARD_STREAM in self.inputs

    def __post_init__(self):
        check_quality(self.quality, self.ending)
        if self.max_megapixels is not None and not self.max_megapixels > 0:
            raise UserError(f"The most megapixels must be more than 0. Received: {self.max_megapixels}.")
        if self.frame is not None and self.frame < 1:
            raise UserError(f"Pictures in a file are counted from 1. Received: --frame {self.frame}. Give 1 or more.")
        check_suffix(self.name_suffix)
        if self.quiet:
            self._refuse("--quiet", "verbose")
        if self.in_place:
            self._refuse("--in-place", "overwrite", "suffix", "format", "compare", "output", "frame", "all_frames")
        if self.watch:
            self._refuse("--watch", "dry_run", "all_frames")
        if self.all_frames:
            self._refuse("--all-frames", "frame")
        if self.piped:
            self._refuse("the input -", "all_frames", "in_place", "watch", "recursive", "suffix", "output", "dry_run")
            if len(self.inputs) > 1 or self.json == str(STANDARD_STREAM):
                raise UserError(
                    "Standard input is one photo, and standard output its result. Received: - and more. Enhance other "
                    "photos, and write JSON to a file, apart from it."
                )

    def _refuse(self, what, *others):
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name in others:
            if getattr(self, name) != defaults[name]:
                received = f"{what} and {option(name)}"
                raise UserError(f"Two options contradict each other. Received: {received}. Give one of them.")
